"""The training loop: steps, moving average, selection of the best weights, resumption."""

import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm
from transformers import PreTrainedModel

from training.augmentation import Augmentation
from training.base import Base
from training.batching import MicroBatch, Step, encode, pad, plan_epoch
from training.corpus import Corpus
from training.evaluation import evaluate, predict
from training.model_directory import replace_directory, save_classifier
from training.optimization import adamw, learning_rates, pass_count, summed_loss
from training.progress import Progress, ResumePoint
from training.recipe import Recipe


@dataclass(frozen=True)
class EpochData:
    """One epoch's augmented examples as token ids, and the order to visit them in."""

    token_ids: Sequence[Sequence[int]]
    labels: Sequence[int]
    steps: Sequence[Step]


class Trainer:
    """Fine-tunes a classifier and keeps its best weights.

    Everything random follows from the recipe's seed and the position in the run, so a run that
    is interrupted and resumed gives the same weights as one that is not.
    """

    def __init__(
        self, recipe: Recipe, base: Base, corpus: Corpus, validation: Corpus, directory: Path
    ) -> None:
        """Prepare a run from its beginning.

        Args:
            recipe: Settings.
            base: The model to fine-tune, in place.
            corpus: Training examples.
            validation: Examples whose accuracy selects the best weights.
            directory: Where resume points and the best weights are kept.
        """
        set_seed(recipe.seed)
        self.recipe, self.tokenizer = recipe, base.tokenizer
        self.corpus, self.validation = corpus, validation
        self.best = directory / "best"
        self.progress = Progress(recipe=recipe.model_dump_json())
        self.augmentation = Augmentation(
            recipe.joined,
            recipe.joined_words,
            (recipe.joined_purity_negative, recipe.joined_purity_positive),
            recipe.detokenized,
        )
        self.accelerator = Accelerator(
            mixed_precision=recipe.precision, step_scheduler_with_optimizer=False
        )
        self.average = AveragedModel(
            base.model.to(self.accelerator.device),
            multi_avg_fn=None
            if recipe.average == "uniform"
            else get_ema_multi_avg_fn(recipe.average_decay),
        )
        self.data = self._epoch_data(0)
        steps = recipe.epochs * len(self.data.steps)
        optimizer = adamw(base.model, recipe)
        scheduler = learning_rates(optimizer, recipe, steps)
        self.model, self.optimizer, self.scheduler = self.accelerator.prepare(
            base.model, optimizer, scheduler
        )
        self.accelerator.register_for_checkpointing(self.average, self.progress)
        self.resume_point = ResumePoint(directory / "resume", self.accelerator)

    def run(self, *, resume: bool = False) -> Path:
        """Train to the end of the recipe.

        Args:
            resume: Continue from the last resume point instead of from the beginning.

        Returns:
            Directory of the best model, in Hugging Face form.

        Raises:
            ResumeError: The resume point is missing, or was left by another recipe.
        """
        if resume:
            self.resume_point.load()
            self.data = self._epoch_data(self.progress.epoch)
        while self.progress.epoch < self.recipe.epochs:
            self._epoch()
            self.progress.epoch, self.progress.step = self.progress.epoch + 1, 0
            if self.progress.epoch < self.recipe.epochs:
                self.data = self._epoch_data(self.progress.epoch)
        return self.best

    def _epoch(self) -> None:
        steps = self.data.steps
        evaluations = self.recipe.evaluations_per_epoch
        due = {len(steps) * number // evaluations for number in range(1, evaluations + 1)}
        bar = tqdm(
            total=len(steps),
            initial=self.progress.step,
            desc=f"epoch {self.progress.epoch + 1}/{self.recipe.epochs}",
            disable=not self.accelerator.is_main_process,
            mininterval=5,
        )
        self.model.train()
        with bar:
            for step in itertools.islice(steps, self.progress.step, None):
                started = time.monotonic()
                bar.set_postfix(loss=f"{self._step(step):.3f}", refresh=False)
                self.progress.seconds += time.monotonic() - started
                self.progress.step += 1
                self.progress.total_steps += 1
                self._update_average()
                bar.update()
                if self.progress.step in due:
                    self._validate()
                if self.progress.step % self.recipe.checkpoint_steps == 0:
                    self.resume_point.save()

    def _step(self, step: Step) -> float:
        """Do one optimizer step and return this process's share of its mean loss, in nats."""
        rows = sum(len(microbatch.rows) for microbatch in step)
        total = 0.0
        for microbatch in step[:-1]:
            with self.accelerator.no_sync(self.model):
                total += self._backward(microbatch, rows)
        total += self._backward(step[-1], rows)
        self.accelerator.clip_grad_norm_(self.model.parameters(), self.recipe.max_gradient_norm)
        self.optimizer.step()
        self.scheduler.step()
        self.optimizer.zero_grad()
        return total

    def _update_average(self) -> None:
        """Put the current weights into the average, or in its place until it begins."""
        recipe = self.recipe
        if recipe.average == "none" or self.progress.total_steps <= recipe.average_from:
            self.average.n_averaged.zero_()  # The first update of an average is a copy.
        self.average.update_parameters(self.accelerator.unwrap_model(self.model))

    def _backward(self, microbatch: MicroBatch, step_rows: int) -> float:
        """Add the gradient of this process's rows; the mean over processes is the step's mean."""
        processes = self.accelerator.num_processes
        mine = microbatch.rows[self.accelerator.process_index :: processes]
        rows = mine or microbatch.rows[:1]
        passes = pass_count(self.recipe.consistency, microbatch.length)
        ids, mask = pad(
            [self.data.token_ids[row] for row in rows] * passes,
            microbatch.length,
            self.tokenizer.pad_token_id,
        )
        device = self.accelerator.device
        labels = torch.tensor([self.data.labels[row] for row in rows], device=device)
        logits = self.model(input_ids=ids.to(device), attention_mask=mask.to(device)).logits
        loss = summed_loss(
            logits.float().chunk(passes),
            labels,
            label_smoothing=self.recipe.label_smoothing,
            consistency=self.recipe.consistency,
        ) * (processes * bool(mine) / step_rows)
        self.accelerator.backward(loss)
        return float(loss.item())

    def _epoch_data(self, epoch: int) -> EpochData:
        seed = self.recipe.seed
        examples = self.augmentation.epoch(self.corpus, seed, epoch)
        token_ids = encode(
            self.tokenizer, [example.text for example in examples], self.recipe.max_tokens
        )
        steps = plan_epoch(
            [len(ids) for ids in token_ids],
            self.recipe.batch_size,
            self.recipe.microbatch_tokens,
            f"{seed}:{epoch}",
        )
        return EpochData(token_ids, [example.label for example in examples], steps)

    def _validate(self) -> None:
        """Evaluate the averaged weights and keep them if they are the best so far."""
        model = cast(PreTrainedModel, self.average.module)
        logits = predict(
            model,
            self.tokenizer,
            self.validation,
            max_tokens=self.recipe.max_tokens,
            microbatch_tokens=self.recipe.microbatch_tokens,
        )
        figures = evaluate(logits, self.validation)
        self.progress.history.append(
            {
                "epoch": self.progress.epoch,
                "step": self.progress.step,
                "accuracy": round(figures.accuracy, 4),
                "log_loss": round(figures.log_loss, 4),
            }
        )
        self.accelerator.print(f"\nvalidation {self.progress.history[-1]}")
        if figures.accuracy > self.progress.best_accuracy:
            self.progress.best_accuracy = figures.accuracy
            if self.accelerator.is_main_process:
                replace_directory(
                    self.best,
                    lambda path: save_classifier(model, self.tokenizer, "float32", path),
                )
        self.accelerator.wait_for_everyone()
