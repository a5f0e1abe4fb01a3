"""The ONNX files derived from a model, and what their verification found."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from serve_app.errors import ModelUnusable
from serve_app.model.fidelity import FAR, Fidelity
from serve_app.model.identity import ModelIdentity
from serve_app.settings import OnnxName

# Raised whenever export or quantization change what they write.
FORMAT: Final = 2
REPORT: Final = "verification.json"


@dataclass(frozen=True)
class Artefact:
    """A directory with the ONNX files of one model.

    Attributes:
        directory: Where they are.
        fidelity: What verification found, by engine.
    """

    directory: Path
    fidelity: dict[OnnxName, Fidelity]

    def path(self, engine: OnnxName) -> Path:
        """Return the engine's file, faithful or not."""
        return self.directory / f"{engine}.onnx"

    def require(self, engine: OnnxName) -> Path:
        """Return the engine's file, to be served.

        Raises:
            ModelUnusable: Verification refused it.
        """
        if refusal := self.fidelity[engine].refusal(engine):
            raise ModelUnusable(
                f"{engine} is not faithful to this model: {refusal}",
                "choose another engine, or `auto`",
            )
        return self.path(engine)

    @property
    def best(self) -> OnnxName:
        """The faster engine where it passed verification, else fp32."""
        return "onnx-fp32" if self.fidelity["onnx-int8"].refusal("onnx-int8") else "onnx-int8"

    def write_report(self) -> None:
        """Write what verification found beside the files."""
        report = {engine: asdict(fidelity) for engine, fidelity in self.fidelity.items()}
        (self.directory / REPORT).write_text(json.dumps(report, indent=2) + "\n")


def beside_directory(model: ModelIdentity) -> Path:
    """Return where a model's artefact is kept within the model's own directory."""
    return model.path / "onnx" / f"{model.digest}-{FORMAT}"


def cache_directory(model: ModelIdentity) -> Path:
    """Return where a model's artefact is kept when not beside the model.

    `$SENTIMENT_CACHE_DIR`, else `$XDG_CACHE_HOME/sentiment-serve`, else under `~/.cache`.
    """
    base = os.environ.get("SENTIMENT_CACHE_DIR")
    if not base:
        user_cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        base = str(Path(user_cache) / "sentiment-serve")
    return Path(base) / f"{model.digest}-{FORMAT}"


def find(model: ModelIdentity) -> Artefact | None:
    """Find a model's artefact: beside the model, else in the cache directory."""
    for directory in (beside_directory(model), cache_directory(model)):
        if (directory / REPORT).is_file():
            return _read(directory)
    return None


def _read(directory: Path) -> Artefact:
    try:
        report = json.loads((directory / REPORT).read_bytes())
        fidelity: dict[OnnxName, Fidelity] = {
            "onnx-fp32": Fidelity(**report["onnx-fp32"]),
            "onnx-int8": Fidelity(**report["onnx-int8"]),
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelUnusable(
            f"cannot read {directory / REPORT}: {error}",
            f"remove {directory} and run `sentiment model prepare`",
        ) from error
    return Artefact(directory, fidelity)


def table(artefact: Artefact) -> str:
    """Return what verification found as a Markdown table."""
    rows = [
        f"| {name} | {found.flips:.2%} | {found.far:.2%} | {found.worst:.4f} "
        f"| {found.variance:.1e} | {found.refusal(name) or 'faithful'} |"
        for name, found in artefact.fidelity.items()
    ]
    head = f"| engine | flipped labels | off by > {FAR} | worst | alone or batched | verdict |"
    return "\n".join([head, "|---|---|---|---|---|---|", *rows])
