"""ONNX bundles: the files derived from a model, and the result of their verification."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Self

from serve_app.errors import ModelUnusable
from serve_app.model.parity import FAR, Parity
from serve_app.model.store import ModelIdentity, digest_of
from serve_app.settings import OnnxName

# Raised whenever export or quantization change the graphs that they write.
FORMAT: Final = 5
REPORT: Final = "verification.json"
TOKENIZER: Final = "tokenizer.json"
ENGINES: Final[tuple[OnnxName, ...]] = ("onnx-fp32", "onnx-int8")


@dataclass(frozen=True)
class OnnxBundle:
    """A directory with a model's tokenizer and its verified ONNX files.

    By an engine's name, `parity` is its distance from torch, or `failures` why it could not be
    made. `digests` are those of the files when they were verified, by the name of engine or file.
    """

    directory: Path
    parity: dict[OnnxName, Parity]
    failures: dict[OnnxName, str]
    digests: dict[str, str]

    @classmethod
    def write(
        cls,
        directory: Path,
        parity: dict[OnnxName, Parity],
        failures: dict[OnnxName, str] | None = None,
    ) -> Self:
        """Complete a directory of verified files with the report of their verification."""
        report: dict[str, dict[str, Any]] = {
            name: {"digest": digest_of([directory / f"{name}.onnx"]), "fidelity": asdict(measured)}
            for name, measured in parity.items()
        }
        report |= {name: {"failure": reason} for name, reason in (failures or {}).items()}
        if (directory / TOKENIZER).exists():
            report[TOKENIZER] = {"digest": digest_of([directory / TOKENIZER])}
        (directory / REPORT).write_text(json.dumps(report, indent=2) + "\n")
        return cls.read(directory)

    @classmethod
    def read(cls, directory: Path) -> Self:
        """Read the report of a directory."""
        try:
            report = json.loads((directory / REPORT).read_bytes())
            failures = {n: str(report[n]["failure"]) for n in ENGINES if "failure" in report[n]}
            made = [name for name in ENGINES if name not in failures]
            parity = {name: Parity(**report[name]["fidelity"]) for name in made}
            digests = {n: str(kept["digest"]) for n, kept in report.items() if "digest" in kept}
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise ModelUnusable(
                f"cannot read {directory / REPORT}: {error}", _prepare_again(directory)
            ) from error
        return cls(directory, parity, failures, digests)

    @property
    def default_engine(self) -> OnnxName:
        """int8 where it passed verification, else fp32."""
        return "onnx-fp32" if self.refusal("onnx-int8") else "onnx-int8"

    @property
    def tokenizer(self) -> Path | None:
        """The model's tokenizer.json as transformers builds it."""
        if TOKENIZER not in self.digests:
            return None
        return self._verified(self.directory / TOKENIZER, TOKENIZER)

    def refusal(self, engine: OnnxName) -> str:
        """Return why an engine is not served; empty where it may be."""
        return self.failures.get(engine) or self.parity[engine].refusal(engine)

    def path(self, engine: OnnxName) -> Path:
        """Return an engine's file, whether or not it passed verification."""
        return self.directory / f"{engine}.onnx"

    def verified_path(self, engine: OnnxName) -> Path:
        """Return an engine's file, to be served.

        Raises `ModelUnusable` if it did not pass verification, or was changed since.
        """
        if refusal := self.refusal(engine):
            problem = "could not be made for" if engine in self.failures else "is not faithful to"
            hint = "choose another engine, or `auto`"
            raise ModelUnusable(f"{engine} {problem} this model: {refusal}", hint)
        return self._verified(self.path(engine), engine)

    def _verified(self, path: Path, name: str) -> Path:
        hint = _prepare_again(self.directory)
        try:
            digest = digest_of([path])
        except OSError as error:
            raise ModelUnusable(f"cannot read {path}: {error.strerror}", hint) from error
        if digest != self.digests[name]:
            raise ModelUnusable(f"{path} is not the file that was verified", hint)
        return path


def onnx_directory(model: ModelIdentity) -> Path:
    """Return the directory of a model's bundle beside its own files."""
    return model.path / "onnx" / f"{model.digest}-{FORMAT}"


def cache_directory(model: ModelIdentity) -> Path:
    """Return the directory of a model's bundle in the cache.

    The cache is `$SENTIMENT_CACHE_DIR`, else `$XDG_CACHE_HOME/sentiment-serve`, else
    `~/.cache/sentiment-serve`.
    """
    user_cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    base = Path(os.environ.get("SENTIMENT_CACHE_DIR") or user_cache / "sentiment-serve")
    return base / f"{model.digest}-{FORMAT}"


def find_bundle(model: ModelIdentity) -> OnnxBundle | None:
    """Find a model's bundle: in the model's own directory, else in the cache."""
    for directory in (onnx_directory(model), cache_directory(model)):
        if (directory / REPORT).is_file():
            return OnnxBundle.read(directory)
    return None


def prepared_bundle(model: ModelIdentity) -> OnnxBundle:
    """Find a model's bundle; raises `ModelUnusable` if there is none."""
    if bundle := find_bundle(model):
        return bundle
    problem = f"{model.model_id} has not been prepared for ONNX"
    raise ModelUnusable(problem, "run `sentiment model prepare`")


def check_weights(model: ModelIdentity) -> None:
    """Compare a model's digest with the bundles in its own directory.

    Raises `ModelUnusable` if all are of other models: a file of the model was damaged or replaced.
    """
    directory = onnx_directory(model).parent
    bundles = [report.parent.name for report in directory.glob(f"*/{REPORT}")]
    if bundles and not any(name.startswith(f"{model.digest}-") for name in bundles):
        raise ModelUnusable(
            f"{model.path} is not the model that the files in {directory} were made from",
            f"fetch the model again; if it is the one you want, remove {directory}",
        )


def parity_table(bundle: OnnxBundle) -> str:
    """Return the result of the verification as a Markdown table."""
    rows = [
        f"| {name} | {parity.flips:.2%} | {parity.far:.2%} | {parity.worst:.4f} "
        f"| {parity.variance:.1e} | {parity.refusal(name) or 'faithful'} |"
        for name, parity in bundle.parity.items()
    ]
    rows += [f"| {name} | | | | | {reason} |" for name, reason in bundle.failures.items()]
    head = f"| engine | flipped labels | off by > {FAR} | worst | alone or batched | verdict |"
    return "\n".join([head, "|---|---|---|---|---|---|", *rows])


def _prepare_again(directory: Path) -> str:
    return f"remove {directory} and run `sentiment model prepare`"
