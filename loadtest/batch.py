"""`sentiment batch` against the engine's limit: `python -m loadtest.batch reviews.txt`.

The limit is what tokenizer and engine do in a process for each core, in passes of like length: no
file, no Ray. It is measured before and after, as other work on the machine comes and goes.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import cycle, islice
from multiprocessing import get_context
from pathlib import Path
from statistics import mean

import pyarrow as pa
import pyarrow.parquet as pq

from serve_app.engine.engine import load_engine
from serve_app.engine.tokenizer import Tokenizer
from serve_app.export.prepare import resolve_engine
from serve_app.files.local import batches
from serve_app.model.store import resolve

# Scored together by the loop: enough to find others of like length among them.
CHUNK = 2048


def engine_rate(texts: Sequence[str], processes: int) -> float:
    """Return the texts a second of tokenizer and engine alone, in some processes."""
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        shares = [texts[number::processes] for number in range(processes)]
        return sum(pool.map(_one_engine, shares))


def _one_engine(texts: Sequence[str]) -> float:
    model = resolve("embedded")
    engine = load_engine(model, resolve_engine(model, "auto", print), threads=1)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    tokenizer = Tokenizer(model)
    started = time.perf_counter()
    for start in range(0, len(texts), CHUNK):
        chunk = [tokens.ids for tokens in tokenizer.encode(texts[start : start + CHUNK])]
        for batch in batches([len(each) for each in chunk]):
            engine.logits([chunk[index] for index in batch])
    return len(texts) / (time.perf_counter() - started)


def batch_rates(texts: Sequence[str], processes: int) -> tuple[float, float]:
    """Return the rows a second of the command: while all engines run, and start to end."""
    with tempfile.TemporaryDirectory() as directory:
        source, target = Path(directory, "in.parquet"), Path(directory, "out")
        pq.write_table(pa.table({"text": texts}), source)
        started = time.time()
        subprocess.run(
            [sys.executable, "-m", "serve_app.cli", "batch", str(source), str(target)], check=True
        )
        seconds = time.time() - started
        parts = sorted(target.glob("*.parquet"), key=lambda part: part.stat().st_mtime)
        # From the end of the last engine's first part until an engine finds no other one.
        first, last = parts[processes - 1], parts[-processes]
        steady_s = last.stat().st_mtime - first.stat().st_mtime
        done = parts[processes : len(parts) - processes + 1]
        steady = sum(pq.read_metadata(part).num_rows for part in done) / steady_s
        return steady, len(texts) / seconds


def main() -> None:
    """Print both rates and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="a text on each line")
    parser.add_argument("--rows", type=int, default=40_960)
    arguments = parser.parse_args()
    lines = arguments.file.read_text().splitlines()
    texts = list(islice(cycle(lines), arguments.rows))
    cores = len(os.sched_getaffinity(0))
    before = engine_rate(texts, cores)
    steady, whole = batch_rates(texts, cores)
    limit = mean([before, engine_rate(texts, cores)])
    print(f"engine alone, {cores} processes: {limit:.0f} texts/s")
    print(f"sentiment batch, all engines running: {steady:.0f} rows/s, {steady / limit:.2f}")
    print(f"sentiment batch, start to end: {whole:.0f} rows/s, {whole / limit:.2f}")


if __name__ == "__main__":
    main()
