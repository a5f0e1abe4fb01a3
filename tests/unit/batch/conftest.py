from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from serve_app.batch.job import Job, input_files
from serve_app.batch.run import Output, ShardScorer
from serve_app.model.store import ModelIdentity

TEXTS = ["a good film", "not great", None, "", "bad " * 100, "slow food", "i love it", "x", "y"]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Two files of two row groups each, in a directory with what is to be passed over."""
    directory = tmp_path / "in"
    (directory / "sub").mkdir(parents=True)
    for name in ("a.parquet", "sub/b.parquet"):
        table = pa.table({"id": list(range(len(TEXTS))), "text": TEXTS})
        pq.write_table(table, directory / name, row_group_size=5)
    for name in ("_ignored.parquet", "_temporary/0/c.parquet", "_delta_log/1.checkpoint.parquet"):
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(b"")
    (directory / "folder.parquet").mkdir()
    (directory / "readme.txt").write_bytes(b"")
    return directory


@pytest.fixture
def job_of(model: ModelIdentity) -> Callable[[Path], Job]:
    """Return a function that makes a job of an input."""

    def make(source: Path) -> Job:
        _, files = input_files(str(source), "text", model.labels)
        return Job(str(model.path), model.digest, "torch", model.labels, "text", files)

    return make


@pytest.fixture
def job(source: Path, job_of: Callable[[Path], Job]) -> Job:
    return job_of(source)


@pytest.fixture
def output(tmp_path: Path) -> Output:
    return Output(pa.fs.LocalFileSystem(), str(tmp_path / "out"))


@pytest.fixture
def scorer(job: Job, output: Output) -> ShardScorer:
    return ShardScorer(job, pa.fs.LocalFileSystem(), output)
