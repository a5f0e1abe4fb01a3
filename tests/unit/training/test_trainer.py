from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("accelerate")

import torch

from training.artifact import load_classifier
from training.base import load_base
from training.batching import Step
from training.corpus import Example
from training.progress import ResumeError
from training.recipe import PRESETS, Recipe
from training.trainer import Trainer


@pytest.fixture
def recipe() -> Recipe:
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
    return PRESETS["embedded"].model_copy(update=changes)


def trainer(recipe: Recipe, base: Path, corpus: list[Example], directory: Path) -> Trainer:
    return Trainer(recipe, load_base(str(base), recipe), corpus, corpus[::4], directory)


def weights(model: torch.nn.Module) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


class Interrupted(Exception):
    pass


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


def test_training_learns_and_keeps_the_best_weights(
    recipe: Recipe, base_directory: Path, corpus: list[Example], tmp_path: Path
) -> None:
    run = trainer(recipe.model_copy(update={"epochs": 10}), base_directory, corpus, tmp_path)
    best = run.run()
    model = load_classifier(best)
    assert run.progress.best_accuracy == max(h["accuracy"] for h in run.progress.history) == 1.0
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
