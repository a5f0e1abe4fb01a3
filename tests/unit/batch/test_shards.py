from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from serve_app.batch.job import Job
from serve_app.batch.shards import Output, ShardScorer
from serve_app.client import Prediction
from serve_app.errors import ModelUnusable, StartupError
from serve_app.files.local import LocalScorer
from tests.unit.batch.conftest import TEXTS


def test_every_row_is_written_once_with_its_columns_and_scores(
    job: Job, output: Output, scorer: ShardScorer
) -> None:
    output.begin(job, resume=False)
    for shard in output.missing(job):
        scorer(shard._asdict())
    assert output.verify(job) == 2, "rows without scores"
    rows = pq.read_table(output.directory).to_pylist()
    assert [row["text"] for row in rows] == TEXTS * 2
    assert [row["id"] for row in rows] == list(range(len(TEXTS))) * 2
    assert [row["prediction_error"] for row in rows[:4]] == [None, None, "the text is null", None]
    assert rows[2]["predicted_label"] is rows[2]["score_POSITIVE"] is None


def test_scores_are_those_of_predict(job: Job, output: Output, scorer: ShardScorer) -> None:
    output.begin(job, resume=False)
    for shard in job.shards():
        scorer(shard._asdict())
    rows = [row for row in pq.read_table(output.directory).to_pylist() if row["predicted_label"]]
    expected = LocalScorer(job.source, "torch", print).score([row["text"] for row in rows])
    for row, prediction in zip(rows, expected, strict=True):
        assert isinstance(prediction, Prediction)
        assert row["predicted_label"] == prediction.label
        for label, value in prediction.scores.items():
            assert row[f"score_{label}"] == pytest.approx(value, abs=1e-6)


def test_a_resumed_run_scores_the_missing_shards(
    job: Job, output: Output, scorer: ShardScorer
) -> None:
    output.begin(job, resume=False)
    first, *others = job.shards()
    scorer(first._asdict())
    Path(output.directory, ".unfinished-1").write_bytes(b"torn")
    output.begin(job, resume=True)
    assert output.missing(job) == others
    for shard in others:
        scorer(shard._asdict())
    output.verify(job)
    assert not list(Path(output.directory).glob(".unfinished*"))
    assert output.missing(job) == []


def test_a_directory_of_another_run_is_refused(job: Job, output: Output) -> None:
    output.begin(job, resume=False)
    for other, resume in ((job, False), (replace(job, digest="another"), True)):
        with pytest.raises(StartupError) as caught:
            output.begin(other, resume=resume)
        assert caught.value.hint
    Path(output.directory, "_job.json").rename(Path(output.directory, "precious"))
    with pytest.raises(StartupError, match="another run"):
        output.begin(job, resume=True)


def test_a_shard_with_another_number_of_rows_is_refused(
    job: Job, output: Output, scorer: ShardScorer
) -> None:
    output.begin(job, resume=False)
    for shard in job.shards():
        scorer(shard._asdict())
    output.write(job.shards()[1], pa.table({"text": ["one"]}))
    with pytest.raises(StartupError, match="1 rows instead of 4"):
        output.verify(job)


def test_a_node_with_another_model_is_refused(job: Job, output: Output) -> None:
    with pytest.raises(ModelUnusable, match="digest"):
        ShardScorer(replace(job, digest="another"), pa.fs.LocalFileSystem(), output)
