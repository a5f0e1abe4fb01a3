"""Derive a model's ONNX files once: export, quantize, verify, keep."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from filelock import FileLock

from serve_app.console import install
from serve_app.engine.engine import Engine, batched_logits
from serve_app.engine.onnx import OnnxEngine
from serve_app.engine.tokenizer import Tokenizer
from serve_app.errors import ModelUnusable, UnfaithfulExport
from serve_app.model.onnx_bundle import (
    OnnxBundle,
    beside_directory,
    cache_directory,
    check_weights,
    find,
)
from serve_app.model.parity import Parity, compare, verification_texts
from serve_app.model.store import ModelIdentity
from serve_app.settings import EngineChoice, EngineName, OnnxName

VERIFY_BATCH = 16

Report = Callable[[str], None]


def resolve_engine(model: ModelIdentity, engine: EngineChoice, report: Report) -> EngineName:
    """Make sure that the engine's files exist, and settle what `auto` stands for.

    Args:
        model: What is to be served.
        engine: What is to run it.
        report: Told in a line what is being done.

    Raises:
        ModelUnusable: The model could not be prepared, verification refused the engine, or its
            file is another one than was verified, or the model another one than its files.
    """
    check_weights(model)
    match engine:
        case "torch" | "simulated":
            return engine
    artefact = find(model) or _prepare_apart(model, report)
    chosen = artefact.best if engine == "auto" else engine
    artefact.require(chosen)
    return chosen


def _prepare_apart(model: ModelIdentity, report: Report) -> OnnxBundle:
    """Prepare in a process of its own, so that torch does not stay in this one's memory."""
    report(f"preparing {model.model_id}, once:")
    command = [sys.executable, "-m", "serve_app.cli", "model", "prepare", str(model.path)]
    said = {"error": "", "hint": ""}
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as preparing:
        for line in preparing.stderr or ():
            kind, _, text = line.rstrip().partition(": ")
            if kind in said:
                said[kind] = text
            else:
                report(f"  {line.rstrip()}")
    artefact = find(model)
    if artefact is None:
        reason = said["error"] or f"the process ended with status {preparing.returncode}"
        raise ModelUnusable(f"cannot prepare {model.model_id}: {reason}", said["hint"])
    return artefact


def prepare(model: ModelIdentity, report: Report, *, beside: bool = False) -> OnnxBundle:
    """Derive and verify the ONNX files, unless that was done before.

    Safe to run several times at once: one process works, the others wait for its result, and
    a half-written artefact is never seen.

    Args:
        model: What to prepare.
        report: Told in a line what is being done.
        beside: Keep the files in the model's own directory, for an image, not in the cache.

    Raises:
        ModelUnusable: torch is missing, the model cannot be exported, or no write access.
        UnfaithfulExport: The fp32 export does not agree with the reference.
    """
    target = beside_directory(model) if beside else cache_directory(model)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(target.with_suffix(".lock")):
            done = find(model)
            if done is not None and (done.directory == target or not beside):
                report(f"already prepared in {done.directory}")
                return done
            aside = Path(tempfile.mkdtemp(dir=target.parent, prefix=".preparing-"))
            try:
                fidelity = _derive(model, aside, report)
                sealed = OnnxBundle.write(aside, fidelity)
                # mkdtemp lets nobody else in, but other users may serve what one has prepared.
                aside.chmod(0o755)
                shutil.rmtree(target, ignore_errors=True)
                aside.rename(target)
            finally:
                shutil.rmtree(aside, ignore_errors=True)
    except OSError as error:
        if error.errno is None:
            # transformers' way to say that it cannot read a model.
            reason = " ".join(str(error).split())
            raise ModelUnusable(
                f"cannot load {model.model_id}: {reason}", "fetch the model again"
            ) from error
        raise ModelUnusable(
            f"cannot write {error.filename or target}: {error.strerror}",
            "set SENTIMENT_CACHE_DIR to a directory that can be written",
        ) from error
    return replace(sealed, directory=target)


def _derive(model: ModelIdentity, directory: Path, report: Report) -> dict[OnnxName, Parity]:
    files: dict[OnnxName, Path] = {
        name: directory / f"{name}.onnx" for name in ("onnx-fp32", "onnx-int8")
    }
    try:
        # These need the torch extra, which a replica does without.
        from serve_app.engine.torch import TorchEngine  # noqa: PLC0415
        from serve_app.export.export import export_onnx  # noqa: PLC0415
        from serve_app.export.quantize import quantize_int8  # noqa: PLC0415
    except ImportError as error:
        raise ModelUnusable(
            f"preparing a model needs a package that is not installed: {error.name}",
            install("torch"),
        ) from error
    report("exporting to ONNX")
    export_onnx(model.path, files["onnx-fp32"])
    report("quantizing to int8")
    quantize_int8(files["onnx-fp32"], files["onnx-int8"])
    report("verifying against torch")
    reference = TorchEngine(model, pad_id=model.pad_id, threads=1, device="cpu")
    fidelity = _verify(model, reference, files)
    for name, found in fidelity.items():
        report(f"{name}: {found.refusal(name) or 'faithful'}")
    if refusal := fidelity["onnx-fp32"].refusal("onnx-fp32"):
        raise UnfaithfulExport(
            f"the ONNX export of {model.model_id} does not agree with torch: {refusal}",
            "serve it with the torch engine",
        )
    return fidelity


def _verify(
    model: ModelIdentity, reference: Engine, files: dict[OnnxName, Path]
) -> dict[OnnxName, Parity]:
    token_ids = [tokens.ids for tokens in Tokenizer(model).encode(verification_texts())]
    expected = batched_logits(reference, token_ids, VERIFY_BATCH)
    fidelity: dict[OnnxName, Parity] = {}
    for name, path in files.items():
        engine = OnnxEngine(path, name, pad_id=model.pad_id, threads=1)
        together = batched_logits(engine, token_ids, VERIFY_BATCH)
        fidelity[name] = compare(expected, together, batched_logits(engine, token_ids, 1))
    return fidelity
