"""Position of a run, and the point on disk that an interrupted run goes on from."""

import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from accelerate import Accelerator


class ResumeError(ValueError):
    """A run cannot be resumed; the message says what to do."""


@dataclass
class Progress:
    """Position of a run.

    Attributes:
        epoch: Number of the current epoch, from 0.
        step: Steps done in it.
        total_steps: Steps done in all epochs.
        best_accuracy: Highest accuracy on the validation examples so far.
        history: Position, accuracy and log loss of every validation so far.
        seconds: Time spent on steps so far, interrupted sessions included.
        recipe: The run's recipe as JSON; only the same recipe can resume.
    """

    epoch: int = 0
    step: int = 0
    total_steps: int = 0
    best_accuracy: float = -1.0
    history: list[dict[str, float]] = field(default_factory=list)
    seconds: float = field(default=0.0, compare=False)
    recipe: str = ""

    def state_dict(self) -> dict[str, Any]:
        """Return the fields, for a resume point."""
        return asdict(self)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Set the fields from a resume point.

        Raises:
            ResumeError: It was left by another recipe.
        """
        if state["recipe"] != self.recipe:
            raise ResumeError(
                "the resume point was left by other settings: repeat those or omit --resume"
            )
        vars(self).update(state)


@dataclass(frozen=True)
class ResumePoint:
    """The latest saved state of everything that an accelerator has prepared.

    Attributes:
        path: Directory of the state.
        accelerator: Holder of model, optimizer, schedule, random states and registered objects.
    """

    path: Path
    accelerator: Accelerator

    def save(self) -> None:
        """Replace the saved state; an interruption leaves the old one or the new one whole."""
        scratch, old = self.path.with_suffix(".new"), self.path.with_suffix(".old")
        self.accelerator.save_state(str(scratch))
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            if self.path.exists():
                self.path.rename(old)
            scratch.rename(self.path)
            shutil.rmtree(old, ignore_errors=True)
        self.accelerator.wait_for_everyone()

    def load(self) -> None:
        """Restore the saved state.

        Raises:
            ResumeError: It is missing, or was left by another recipe.
        """
        candidates = (self.path, self.path.with_suffix(".old"))
        saved = next((path for path in candidates if path.is_dir()), None)
        if saved is None:
            raise ResumeError(f"no resume point in {self.path}: omit --resume")
        self.accelerator.load_state(str(saved))
