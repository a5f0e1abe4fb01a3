"""A whole fine-tuning run: from data and recipe to a saved, calibrated, evaluated model."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerBase

from training.base import Base, load_base
from training.calibration import Floats, fit_temperature, fold_temperature
from training.card import write_card
from training.corpus import (
    Corpus,
    CorpusError,
    find_labels,
    hold_out,
    labels_of,
    leave_out_short,
    read_corpus,
)
from training.evaluation import evaluate, predict
from training.model_directory import (
    directory_bytes,
    load_classifier,
    replace_directory,
    save_classifier,
)
from training.recipe import LABELS, Recipe
from training.trainer import Trainer

LIBRARIES = ("torch", "transformers", "accelerate", "tokenizers")


@dataclass(frozen=True)
class Experiment:
    """One run of a recipe.

    Attributes:
        recipe: Settings.
        base_path: Directory or hub id of the pretrained model.
        train: TSV file to train on.
        evaluations: Names and TSV files to evaluate on; the first one selects the best weights.
        output: Directory of the finished model.
        state: Directory of resume points and best weights.
        command: The command line, for the card.
        note: A remark for the card; may be empty.
    """

    recipe: Recipe
    base_path: str
    train: Path
    evaluations: Mapping[str, Path]
    output: Path
    state: Path
    command: str
    note: str

    def run(self, *, resume: bool) -> None:
        """Train, calibrate, save and evaluate, and write figures, plots and card.

        Args:
            resume: Continue from the last resume point.

        Raises:
            CorpusError: A data file is missing or malformed.
            BaseError: The pretrained model cannot be used.
            ResumeError: The resume point is missing, or was left by another recipe.
        """
        labels = self.recipe.labels or find_labels(self.train)
        if len(labels) != len(LABELS) and self.recipe.joined:
            raise CorpusError(
                f"documents are joined for two labels, not for {len(labels)}: pass --joined 0"
            )
        recipe = self.recipe.model_copy(update={"labels": labels})
        replace(self, recipe=recipe)._run(resume=resume)

    def _run(self, *, resume: bool) -> None:
        labels = self.recipe.labels
        corpus, held_out = hold_out(
            read_corpus(self.train, labels), self.recipe.holdout_sentences, self.recipe.seed
        )
        corpus = leave_out_short(corpus, self.recipe.least_words)
        corpora = {name: read_corpus(path, labels) for name, path in self.evaluations.items()}
        base = load_base(self.base_path, self.recipe)
        trainer = Trainer(self.recipe, base, corpus, next(iter(corpora.values())), self.state)
        best = trainer.run(resume=resume)
        if not trainer.accelerator.is_main_process:
            return
        device = trainer.accelerator.device
        temperature = self._calibrated(best, base.tokenizer, held_out, device)
        saved = Base(load_classifier(self.output, device), base.tokenizer)
        results = {name: evaluate(self._logits(saved, c), c) for name, c in corpora.items()}
        next(iter(results.values())).draw(self.output, next(iter(results)), labels)
        metrics = {
            "recipe": self.recipe.model_dump(),
            "command": self.command,
            "note": self.note,
            "training_examples": len(corpus),
            "held_out_sentences": len(held_out),
            "training_seconds": round(trainer.progress.seconds),
            "temperature": round(temperature, 4),
            "calibrated_on": f"{len(held_out)} training sentences kept back" if held_out else "",
            "history": trainer.progress.history,
            "evaluation": {name: result.figures() for name, result in results.items()},
            "model_bytes": directory_bytes(self.output),
            "libraries": {name: version(name) for name in LIBRARIES},
        }
        (self.output / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
        write_card(metrics, self.output / "README.md")

    def _calibrated(
        self,
        best: Path,
        tokenizer: PreTrainedTokenizerBase,
        held_out: Corpus,
        device: torch.device,
    ) -> float:
        """Save the best model with its temperature folded in, and return the temperature."""
        model = load_classifier(best, device)
        temperature = 1.0
        if held_out:
            logits = self._logits(Base(model, tokenizer), held_out)
            temperature = fit_temperature(logits, labels_of(held_out))
            fold_temperature(model, temperature)
        replace_directory(
            self.output,
            lambda path: save_classifier(model, tokenizer, self.recipe.weights, path),
        )
        return temperature

    def _logits(self, base: Base, corpus: Corpus) -> Floats:
        return predict(
            base.model,
            base.tokenizer,
            corpus,
            max_tokens=self.recipe.max_tokens,
            microbatch_tokens=self.recipe.microbatch_tokens,
        )
