from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_app.batch.job import MIN_ROWS, InputFile, Job, file_system, input_files
from serve_app.errors import StartupError

LABELS = ("NEGATIVE", "POSITIVE")

row_groups = st.lists(st.integers(0, 300_000), max_size=4).map(tuple)


@given(st.lists(row_groups, max_size=3))
def test_shards_hold_every_row_once_and_their_names_sort_as_the_rows_do(
    groups: list[tuple[int, ...]],
) -> None:
    files = tuple(InputFile(f"file {number}", 1, rows) for number, rows in enumerate(groups))
    job = Job("embedded", "0123", "onnx-int8", LABELS, "text", files)
    shards = job.shards()
    assert [shard.name for shard in shards] == sorted({shard.name for shard in shards})
    places = [(shard.path, shard.row_group, shard.start) for shard in shards]
    assert places == sorted(places)
    for file in files:
        for group, rows in enumerate(file.row_groups):
            mine = [
                shard for shard in shards if (shard.path, shard.row_group) == (file.path, group)
            ]
            ends = [shard.start + shard.rows for shard in mine]
            assert [shard.start for shard in mine] == [0, *ends][: len(mine)]
            assert (ends or [0])[-1] == rows


def test_a_small_input_is_divided_into_shards_of_seconds() -> None:
    files = (InputFile("a", 1, (10_000,)),)
    shards = Job("embedded", "0123", "onnx-int8", LABELS, "text", files).shards()
    assert {shard.rows for shard in shards} == {MIN_ROWS, 10_000 % MIN_ROWS}


def test_the_input_of_a_directory_is_all_its_parquet_files(source: Path, job: Job) -> None:
    assert [Path(file.path).relative_to(source) for file in job.files] == [
        Path("a.parquet"),
        Path("sub/b.parquet"),
    ]
    assert [file.row_groups for file in job.files] == [(5, 4), (5, 4)]


def test_a_file_may_be_a_uri_or_a_relative_path(
    source: Path, job_of: Callable[[Path], Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = source / "a.parquet"
    monkeypatch.chdir(source)
    by_path = input_files("a.parquet", "text", LABELS)[1]
    assert by_path == input_files(file.as_uri(), "text", LABELS)[1] == job_of(file).files


@pytest.mark.parametrize(
    ("table", "column", "said"),
    [
        (pa.table({"body": ["a"]}), "text", "body"),
        (pa.table({"text": [1]}), "text", "int64"),
        (pa.table({"text": ["a"], "score_POSITIVE": [1.0]}), "text", "score_POSITIVE"),
    ],
)
def test_unusable_columns_are_refused_with_a_hint(
    tmp_path: Path, table: pa.Table, column: str, said: str
) -> None:
    pq.write_table(table, tmp_path / "in.parquet")
    with pytest.raises(StartupError) as caught:
        input_files(str(tmp_path), column, LABELS)
    assert said in str(caught.value)
    assert caught.value.hint


def test_an_input_that_is_not_parquet_is_refused(tmp_path: Path) -> None:
    (tmp_path / "in.parquet").write_bytes(b"something else")
    for location in ("in.parquet", "missing", "."):
        with pytest.raises(StartupError):
            input_files(str(tmp_path / location), "text", LABELS)
    (tmp_path / "in.parquet").unlink()
    with pytest.raises(StartupError, match=r"no \*\.parquet"):
        input_files(str(tmp_path), "text", LABELS)


def test_a_uri_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(StartupError, match="gopher"):
        file_system("gopher://host/in.parquet")


@pytest.mark.parametrize("kind", [pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_strings_may_have_other_arrow_types(tmp_path: Path, kind: pa.DataType) -> None:
    pq.write_table(pa.table({"text": pa.array(["a", "b"], kind)}), tmp_path / "in.parquet")
    assert input_files(str(tmp_path), "text", LABELS)[1][0].row_groups == (2,)
