"""Prepare a model once: export it, quantize it, verify both files, keep them."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from filelock import FileLock

from serve_app.console import first_line, install
from serve_app.engine.engine import OnnxEngine, batched_logits
from serve_app.engine.tokenizer import Tokenizer
from serve_app.errors import ModelUnusable
from serve_app.model.onnx_bundle import (
    ENGINES,
    TOKENIZER,
    OnnxBundle,
    cache_directory,
    check_weights,
    find_bundle,
    onnx_directory,
)
from serve_app.model.parity import Parity, compare, verification_texts
from serve_app.model.store import ModelIdentity, settings_of
from serve_app.settings import EngineChoice, EngineName, OnnxName

VERIFY_BATCH: Final = 16
MAX_REASON: Final = 300
TORCH: Final = (
    "serve it with the torch engine: `engine: torch` in the configuration, or --engine torch"
)
Progress = Callable[[str], None]


def resolve_engine(model: ModelIdentity, engine: EngineChoice, progress: Progress) -> EngineName:
    """Prepare the engine's files if they are missing; `auto` is the fastest that was verified.

    Raises `ModelUnusable` if the model cannot be prepared, the engine did not pass verification, or
    a file of the model or of the engine was changed since.
    """
    check_weights(model)
    resolved: EngineName
    match engine:
        case "torch" | "simulated":
            resolved = engine
        case _:
            bundle = find_bundle(model) or _prepare_in_subprocess(model, progress)
            resolved = onnx = bundle.default_engine if engine == "auto" else engine
            bundle.verified_path(onnx)
    lengths = settings_of(model.path).lengths
    if lengths.max_tokens == lengths.memory:
        progress(f"texts are cut at {lengths.max_tokens} tokens: {lengths.explained}")
    return resolved


def _prepare_in_subprocess(model: ModelIdentity, progress: Progress) -> OnnxBundle:
    """Prepare in a process of its own, so that torch does not stay in this one's memory."""
    progress(f"preparing {model.model_id}, once:")
    command = [sys.executable, "-m", "serve_app.cli", "model", "prepare", str(model.path)]
    failure = {"error": "", "hint": ""}
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        for line in process.stderr or ():
            kind, _, text = line.rstrip().partition(": ")
            if kind in failure:
                failure[kind] = text
            else:
                progress(f"  {line.rstrip()}")
    bundle = find_bundle(model)
    if bundle is None:
        reason = failure["error"] or f"the process ended with status {process.returncode}"
        raise ModelUnusable(f"cannot prepare {model.model_id}: {reason}", failure["hint"])
    return bundle


def prepare(model: ModelIdentity, progress: Progress, *, beside: bool = False) -> OnnxBundle:
    """Export, quantize and verify a model, unless that was done before.

    Several processes may prepare the same model at once: one works, the others wait for its
    result. A bundle appears in its place, the cache or the model's directory (`beside`), only when
    it is complete.

    Raises `ModelUnusable` if torch is missing, the model cannot be loaded or exported, its fp32
    export does not agree with torch, or a directory cannot be written.
    """
    target = onnx_directory(model) if beside else cache_directory(model)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(target.with_suffix(".lock")):
            found = find_bundle(model)
            if found is not None and (found.directory == target or not beside):
                progress(f"already prepared in {found.directory}")
                return found
            with tempfile.TemporaryDirectory(dir=target.parent, prefix=".preparing-") as scratch:
                # A directory of its own within, since others cannot read a temporary one.
                directory = Path(scratch) / "bundle"
                directory.mkdir()
                _derive(model, directory, progress)
                shutil.rmtree(target, ignore_errors=True)
                directory.rename(target)
            return OnnxBundle.read(target)
    except OSError as error:
        raise ModelUnusable(
            f"cannot write {error.filename or target}: {error.strerror}",
            "set SENTIMENT_CACHE_DIR to a directory that can be written",
        ) from error


def _derive(model: ModelIdentity, directory: Path, progress: Progress) -> None:
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
    fp32, int8 = directory / "onnx-fp32.onnx", directory / "onnx-int8.onnx"
    reference = TorchEngine(model, threads=1, device="cpu")
    reference.tokenizer.save(directory / TOKENIZER)
    tokenizer = Tokenizer(model, directory / TOKENIZER)
    texts = [*verification_texts(), "good film " * model.max_tokens]
    token_ids = [tokens.ids for tokens in tokenizer.encode(texts)]
    parity: dict[OnnxName, Parity] = {}
    failures: dict[OnnxName, str] = {}

    def verify(name: OnnxName, path: Path) -> None:
        engine = OnnxEngine(path, name, pad_id=model.pad_id, threads=1)
        batched = batched_logits(engine, token_ids, VERIFY_BATCH)
        alone = batched_logits(engine, token_ids, 1)
        parity[name] = compare(expected, batched, alone, model.transform)

    expected = batched_logits(reference, token_ids, VERIFY_BATCH)
    try:
        progress("exporting to ONNX")
        export_onnx(model.path, fp32)
        verify("onnx-fp32", fp32)
    except Exception as error:  # torch, onnx and ONNX Runtime raise whatever their parts do
        raise ModelUnusable(f"cannot export {model.model_id}: {_reason(error)}", TORCH) from error
    if refusal := parity["onnx-fp32"].refusal("onnx-fp32"):
        raise ModelUnusable(
            f"the ONNX export of {model.model_id} does not agree with torch: {refusal}", TORCH
        )
    try:
        progress("quantizing to int8")
        quantize_int8(fp32, int8)
        progress("verifying against torch")
        verify("onnx-int8", int8)
    except Exception as error:
        failures["onnx-int8"] = _reason(error)
        int8.unlink(missing_ok=True)
    bundle = OnnxBundle.write(directory, parity, failures)
    for name in ENGINES:
        progress(f"{name}: {bundle.refusal(name) or 'faithful'}")


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.errno:  # a disk that is full says nothing of the model
        raise error
    while error.__cause__:
        error = error.__cause__
    return f"{type(error).__name__}: {first_line(error)}"[:MAX_REASON]
