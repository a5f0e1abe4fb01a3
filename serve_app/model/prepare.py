"""Derive a model's ONNX files once: export, quantize, verify, keep."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from serve_app.engine.engine import Engine
from serve_app.engine.onnx import OnnxEngine
from serve_app.engine.tokenizer import Tokenizer
from serve_app.errors import ModelUnusable, UnfaithfulArtefact
from serve_app.model.artefact import Artefact, OnnxName, cache_directory, find
from serve_app.model.fidelity import Fidelity, compare
from serve_app.model.identity import ModelIdentity
from serve_app.model.probes import probe_texts
from serve_app.settings import EngineChoice, EngineName

VERIFY_BATCH = 16

Report = Callable[[str], None]


def choose(model: ModelIdentity, engine: EngineChoice) -> EngineName:
    """Make sure that the engine's files exist, and settle what `auto` stands for.

    Preparing imports torch, so it runs in a process of its own.

    Raises:
        ModelUnusable: The model could not be prepared, or verification refused the engine.
    """
    if engine == "torch":
        return "torch"
    artefact = find(model)
    if artefact is None:
        command = [sys.executable, "-m", "serve_app.cli", "model", "prepare", str(model.path)]
        finished = subprocess.run(command, check=False, stderr=subprocess.PIPE, text=True)
        artefact = find(model)
        if artefact is None:
            lines = finished.stderr.strip().splitlines() or [f"exit status {finished.returncode}"]
            raise ModelUnusable(f"cannot prepare {model.model_id}: {lines[-1]}")
    if engine == "auto":
        return artefact.best
    artefact.require(engine)
    return engine


def prepare(model: ModelIdentity, report: Report, destination: Path | None = None) -> Artefact:
    """Derive and verify the ONNX files, unless that was done before.

    Safe to run several times at once: one process works, the others wait for its result, and
    a half-written artefact is never seen.

    Args:
        model: What to prepare.
        report: Told in a line what is being done.
        destination: Directory for the artefact; by default the cache directory.

    Raises:
        ModelUnusable: torch is missing, the model cannot be exported, or no write access.
        UnfaithfulArtefact: The fp32 export does not agree with the reference.
    """
    target = destination or cache_directory(model)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(target.with_suffix(".lock")):
            done = find(model)
            if done is not None and destination in (None, done.directory):
                report(f"already prepared in {done.directory}")
                return done
            aside = Path(tempfile.mkdtemp(dir=target.parent, prefix=".preparing-"))
            try:
                fidelity = _derive(model, aside, report)
                Artefact(aside, fidelity).write_report()
                # mkdtemp lets nobody else in, but other users may serve what one has prepared.
                aside.chmod(0o755)
                shutil.rmtree(target, ignore_errors=True)
                aside.rename(target)
            finally:
                shutil.rmtree(aside, ignore_errors=True)
    except PermissionError as error:
        raise ModelUnusable(
            f"no permission to write {error.filename}",
            "set SENTIMENT_CACHE_DIR to a directory that can be written",
        ) from error
    return Artefact(target, fidelity)


def _derive(model: ModelIdentity, directory: Path, report: Report) -> dict[OnnxName, Fidelity]:
    files: dict[OnnxName, Path] = {
        name: directory / f"{name}.onnx" for name in ("onnx-fp32", "onnx-int8")
    }
    try:
        # These need the torch extra, which a replica does without.
        from serve_app.engine.torch import TorchEngine  # noqa: PLC0415
        from serve_app.model.export import export_onnx  # noqa: PLC0415
        from serve_app.model.quantize import quantize_int8  # noqa: PLC0415
    except ImportError as error:
        raise ModelUnusable(
            f"preparing a model needs a package that is not installed: {error.name}",
            'pip install "sentiment-serve[torch]"',
        ) from error
    report("exporting to ONNX")
    export_onnx(model.path, files["onnx-fp32"])
    report("quantizing to int8")
    quantize_int8(files["onnx-fp32"], files["onnx-int8"])
    report("verifying against torch")
    reference = TorchEngine(model, pad_id=model.pad_id, threads=1)
    fidelity = _verify(model, reference, files)
    for name, found in fidelity.items():
        report(f"{name}: {found.refusal(name) or 'faithful'}")
    if refusal := fidelity["onnx-fp32"].refusal("onnx-fp32"):
        raise UnfaithfulArtefact(
            f"the ONNX export of {model.model_id} does not agree with torch: {refusal}",
            "serve it with the torch engine",
        )
    return fidelity


def _verify(
    model: ModelIdentity, reference: Engine, files: dict[OnnxName, Path]
) -> dict[OnnxName, Fidelity]:
    token_ids = [tokens.ids for tokens in Tokenizer(model).encode(probe_texts())]
    expected = _logits(reference, token_ids, VERIFY_BATCH)
    fidelity: dict[OnnxName, Fidelity] = {}
    for name, path in files.items():
        engine = OnnxEngine(path, name, pad_id=model.pad_id, threads=1)
        together = _logits(engine, token_ids, VERIFY_BATCH)
        fidelity[name] = compare(expected, together, _logits(engine, token_ids, 1))
    return fidelity


def _logits(engine: Engine, token_ids: Sequence[Sequence[int]], batch: int) -> NDArray[np.float32]:
    return np.concatenate(
        [
            engine.logits(token_ids[start : start + batch])
            for start in range(0, len(token_ids), batch)
        ]
    )
