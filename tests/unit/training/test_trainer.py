from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("accelerate")

import torch

from training.base import load_base
from training.batching import Step
from training.corpus import Example
from training.model_directory import load_classifier
from training.progress import ResumeError
from training.recipe import PRESETS, Recipe
from training.trainer import Trainer


@pytest.fixture
def recipe(request: pytest.FixtureRequest) -> Recipe:
    """A short run; indirect parameters change it."""
    changes = {
        "epochs": 2,
        "batch_size": 8,
        "microbatch_tokens": 64,
        "max_tokens": 64,
        "learning_rate": 1e-2,
        "average_decay": 0.5,
        "joined": 4,
        "joined_words": (10, 20),
        "checkpoint_steps": 2,
        "evaluations_per_epoch": 2,
        "precision": "no",
    }
    return PRESETS["embedded"].model_copy(update=changes | getattr(request, "param", {}))


def trainer(recipe: Recipe, base: Path, corpus: list[Example], directory: Path) -> Trainer:
    return Trainer(recipe, load_base(str(base), recipe), corpus, corpus[::4], directory)


def weights(model: torch.nn.Module) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


class Interrupted(Exception):
    pass


@pytest.mark.parametrize(
    "recipe",
    [{}, {"consistency": 1.0, "average": "uniform", "average_from": 3, "schedule": "constant"}],
    ids=["embedded", "consistency and uniform average"],
    indirect=True,
)
def test_an_interrupted_and_resumed_run_equals_an_uninterrupted_one(
    recipe: Recipe,
    base_directory: Path,
    corpus: list[Example],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = trainer(recipe, base_directory, corpus, tmp_path / "whole")
    whole.run()

    broken = trainer(recipe, base_directory, corpus, tmp_path / "broken")
    steps_per_epoch, done = len(broken.data.steps), 0
    step = broken._step

    def failing_step(microbatches: Step) -> float:
        nonlocal done
        done += 1
        if done > steps_per_epoch + 3:
            raise Interrupted
        return step(microbatches)

    monkeypatch.setattr(broken, "_step", failing_step)
    with pytest.raises(Interrupted):
        broken.run()

    resumed = trainer(recipe, base_directory, corpus, tmp_path / "broken")
    torch.manual_seed(12345)
    resumed.run(resume=True)

    assert torch.equal(weights(whole.model), weights(resumed.model))
    assert torch.equal(weights(whole.average), weights(resumed.average))
    assert whole.progress == resumed.progress


class RecordingTrainer(Trainer):
    """Keeps the weights after every step."""

    history: list[torch.Tensor]

    def _update_average(self) -> None:
        self.history.append(weights(self.model))
        super()._update_average()


@pytest.fixture
def recorded(
    recipe: Recipe, base_directory: Path, corpus: list[Example], tmp_path: Path
) -> RecordingTrainer:
    base = load_base(str(base_directory), recipe)
    run = RecordingTrainer(recipe, base, corpus, corpus[::4], tmp_path)
    run.history = []
    run.run()
    return run


@pytest.mark.parametrize(
    "recipe", [{"epochs": 1, "average": "uniform", "average_from": 2}], indirect=True
)
def test_a_uniform_average_is_the_mean_of_the_weights_from_its_first_step(
    recorded: RecordingTrainer,
) -> None:
    mean = torch.stack(recorded.history[1:]).mean(0)
    torch.testing.assert_close(weights(recorded.average), mean)


@pytest.mark.parametrize(
    "recipe",
    [{"epochs": 1, "average": "none"}, {"epochs": 1, "average": "uniform", "average_from": 99}],
    indirect=True,
)
def test_the_current_weights_are_validated_while_there_is_no_average(
    recorded: RecordingTrainer,
) -> None:
    assert torch.equal(weights(recorded.average), recorded.history[-1])


def test_consistency_passes_short_texts_twice(
    recipe: Recipe, base_directory: Path, corpus: list[Example], tmp_path: Path
) -> None:
    def rows(consistency: float) -> int:
        changed = recipe.model_copy(update={"consistency": consistency})
        run = trainer(changed, base_directory, corpus, tmp_path)
        seen = list[int]()
        run.model.register_forward_pre_hook(
            lambda _, __, inputs: seen.append(len(inputs["input_ids"])), with_kwargs=True
        )
        run._step(run.data.steps[0])
        return sum(seen)

    assert rows(1.0) == 2 * rows(0.0)


def test_training_learns_and_keeps_the_best_weights(
    recipe: Recipe, base_directory: Path, corpus: list[Example], tmp_path: Path
) -> None:
    run = trainer(recipe.model_copy(update={"epochs": 10}), base_directory, corpus, tmp_path)
    best = run.run()
    model = load_classifier(best)
    assert run.progress.best_accuracy == max(h["accuracy"] for h in run.progress.history) == 1.0
    assert (best / "tokenizer.json").is_file()
    assert model.config.id2label == {0: "NEGATIVE", 1: "POSITIVE"}


def test_resuming_nothing_is_explained(
    recipe: Recipe, base_directory: Path, corpus: list[Example], tmp_path: Path
) -> None:
    with pytest.raises(ResumeError, match="omit --resume"):
        trainer(recipe, base_directory, corpus, tmp_path).run(resume=True)


def test_resuming_with_other_settings_is_refused(
    recipe: Recipe, base_directory: Path, corpus: list[Example], tmp_path: Path
) -> None:
    trainer(recipe, base_directory, corpus, tmp_path).run()
    other = recipe.model_copy(update={"learning_rate": 2e-2})
    with pytest.raises(ResumeError, match="left by other settings"):
        trainer(other, base_directory, corpus, tmp_path).run(resume=True)
