from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serve_app.batch.job import Job, input_files
from serve_app.batch.run import Output, ShardScorer
from serve_app.client import Prediction
from serve_app.errors import ModelUnusable, StartupError
from serve_app.files.local import LocalScorer
from serve_app.model.store import ModelIdentity
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


# Names of directories that are data, that hold columns, and that are not data.
NAMES = ["sub", "day=2026-01-02", "day=2026-01-03", "n=1", "n=-20", "zip=007", "zip=0815", "_n=3"]
NAMES += ["n=__HIVE_DEFAULT_PARTITION__", "city=Z%C3%BCrich", "empty="]
HIDDEN = ["_temporary", "_delta_log", ".hidden", "_a/b", ".a/n=1"]
INTEGERS = {"n", "_n"}


def hive_columns(path: Path) -> dict[str, str | int | None]:
    """Return the columns that directories hold, computed in another way than the job does."""
    columns: dict[str, str | int | None] = {}
    for name, equals, value in (part.partition("=") for part in path.parent.parts):
        if equals:
            columns[name] = None if value.startswith("__HIVE") else unquote(value)
            if name in INTEGERS and columns[name] is not None:
                columns[name] = int(value)
    return columns


trees = st.dictionaries(
    st.lists(st.sampled_from([*NAMES, *HIDDEN]), max_size=3).map("/".join),
    st.tuples(st.integers(0, 6), st.integers(1, 4)),
    min_size=1,
    max_size=5,
)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(trees)
def test_the_rows_of_any_tree_of_files_come_out_once_in_order(
    model: ModelIdentity, tree: dict[str, tuple[int, int]]
) -> None:
    with TemporaryDirectory() as directory:
        source, target = Path(directory, "in"), Path(directory, "out")
        expected: list[dict[str, object]] = []
        for place in sorted(tree, key=lambda each: f"{each}/x.parquet".lstrip("/")):
            rows, group = tree[place]
            data = [{"text": f"{place} {n}", "number": n} for n in range(rows)]
            path = source / place / "x.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            schema = pa.schema([("text", pa.string()), ("number", pa.int64())])
            pq.write_table(pa.Table.from_pylist(data, schema), path, row_group_size=group)
            (path.parent / "_SUCCESS").touch()
            inside = path.relative_to(source)
            if not any(part in {*HIDDEN, "_a", ".a"} for part in inside.parts):
                expected += [row | hive_columns(inside) for row in data]
        try:
            filesystem, files = input_files(str(source), "text", model.labels)
        except StartupError as error:
            assert "no *.parquet" in error.problem
            assert all(set(place.split("/")) & {*HIDDEN, "_a", ".a"} for place in tree)
            return
        job = Job(str(model.path), model.digest, "torch", model.labels, "text", files)
        output = Output(filesystem, str(target))
        output.begin(job, resume=False)
        scorer = ShardScorer(job, filesystem, output)
        for shard in output.missing(job):
            scorer(shard._asdict())
        assert output.verify(job) == 0
        columns = {name for row in expected for name in row}
        tables = [pq.read_table(path) for path in sorted(target.glob("*.parquet"))]
        found = pa.concat_tables(tables).to_pylist() if tables else []
        assert [{name: row[name] for name in columns} for row in found] == [
            {name: None for name in columns} | row for row in expected
        ]


def test_a_column_of_the_file_is_kept_where_a_directory_names_it_too(
    tmp_path: Path, job_of: Callable[[Path], Job]
) -> None:
    path = tmp_path / "in" / "n=1" / "x.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table({"text": ["a"], "n": ["one"]}), path)
    job = job_of(tmp_path / "in")
    output = Output(pa.fs.LocalFileSystem(), str(tmp_path / "out"))
    output.begin(job, resume=False)
    scorer = ShardScorer(job, pa.fs.LocalFileSystem(), output)
    for shard in job.shards():
        scorer(shard._asdict())
    assert pq.read_table(output.directory)["n"].to_pylist() == ["one"]


def test_scores_are_those_of_predict(job: Job, output: Output, scorer: ShardScorer) -> None:
    output.begin(job, resume=False)
    for shard in job.shards():
        scorer(shard._asdict())
    rows = [row for row in pq.read_table(output.directory).to_pylist() if row["predicted_label"]]
    expected = LocalScorer(job.model, "torch", print).score([row["text"] for row in rows])
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
