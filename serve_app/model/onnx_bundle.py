"""The ONNX files derived from a model, and what their verification found."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Self

from serve_app.errors import ModelUnusable
from serve_app.model.parity import FAR, Parity
from serve_app.model.store import ModelIdentity, digest_of
from serve_app.settings import OnnxName

# Raised whenever export or quantization change what they write.
FORMAT: Final = 4
REPORT: Final = "verification.json"
ENGINES: Final[tuple[OnnxName, ...]] = ("onnx-fp32", "onnx-int8")


@dataclass(frozen=True)
class OnnxBundle:
    """A directory with the ONNX files of one model.

    Attributes:
        directory: Where they are.
        fidelity: What verification found, by engine.
        digests: Of each engine's file when it was verified.
    """

    directory: Path
    fidelity: dict[OnnxName, Parity]
    digests: dict[OnnxName, str]

    @classmethod
    def write(cls, directory: Path, fidelity: dict[OnnxName, Parity]) -> Self:
        """Seal files that were verified: write what was found beside them."""
        files = cls(directory, fidelity, {})
        digests = {engine: digest_of([files.path(engine)]) for engine in fidelity}
        report = {
            engine: {"digest": digests[engine], "fidelity": asdict(found)}
            for engine, found in fidelity.items()
        }
        (directory / REPORT).write_text(json.dumps(report, indent=2) + "\n")
        return cls(directory, fidelity, digests)

    def path(self, engine: OnnxName) -> Path:
        """Return the engine's file, faithful or not."""
        return self.directory / f"{engine}.onnx"

    def require(self, engine: OnnxName) -> Path:
        """Return the engine's file, to be served.

        Raises:
            ModelUnusable: Verification refused it, or it is not the file that was verified.
        """
        if refusal := self.fidelity[engine].refusal(engine):
            raise ModelUnusable(
                f"{engine} is not faithful to this model: {refusal}",
                "choose another engine, or `auto`",
            )
        path = self.path(engine)
        try:
            intact = digest_of([path]) == self.digests[engine]
        except OSError as error:
            raise ModelUnusable(f"cannot read {path}: {error.strerror}", self._again()) from error
        if not intact:
            raise ModelUnusable(f"{path} is not the file that was verified", self._again())
        return path

    def _again(self) -> str:
        return f"remove {self.directory} and run `sentiment model prepare`"

    @property
    def best(self) -> OnnxName:
        """The faster engine where it passed verification, else fp32."""
        return "onnx-fp32" if self.fidelity["onnx-int8"].refusal("onnx-int8") else "onnx-int8"


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


def find(model: ModelIdentity) -> OnnxBundle | None:
    """Find a model's artefact: beside the model, else in the cache directory."""
    for directory in (beside_directory(model), cache_directory(model)):
        if (directory / REPORT).is_file():
            return _read(directory)
    return None


def check_weights(model: ModelIdentity) -> None:
    """Compare a model with those whose ONNX files are beside it.

    Raises:
        ModelUnusable: There are such files, and all are of others: a file of the model has rotted,
            or a part of it was replaced.
    """
    directory = beside_directory(model).parent
    sealed = [report.parent.name for report in directory.glob(f"*/{REPORT}")]
    if sealed and not any(name.startswith(f"{model.digest}-") for name in sealed):
        raise ModelUnusable(
            f"{model.path} is not the model that the files in {directory} were made from",
            f"fetch the model again; if it is the one you want, remove {directory}",
        )


def _read(directory: Path) -> OnnxBundle:
    try:
        report = json.loads((directory / REPORT).read_bytes())
        fidelity = {name: Parity(**report[name]["fidelity"]) for name in ENGINES}
        digests = {name: str(report[name]["digest"]) for name in ENGINES}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelUnusable(
            f"cannot read {directory / REPORT}: {error}",
            f"remove {directory} and run `sentiment model prepare`",
        ) from error
    return OnnxBundle(directory, fidelity, digests)


def table(artefact: OnnxBundle) -> str:
    """Return what verification found as a Markdown table."""
    rows = [
        f"| {name} | {found.flips:.2%} | {found.far:.2%} | {found.worst:.4f} "
        f"| {found.variance:.1e} | {found.refusal(name) or 'faithful'} |"
        for name, found in artefact.fidelity.items()
    ]
    head = f"| engine | flipped labels | off by > {FAR} | worst | alone or batched | verdict |"
    return "\n".join([head, "|---|---|---|---|---|---|", *rows])
