"""A job: its input, its model, and the shards of its output.

A shard is scored and written as a whole, under a name that says which rows it holds. A run that
resumes skips the shards that exist, so that every row comes out exactly once.
"""

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.fs import FileInfo, FileSelector, FileSystem, FileType

from serve_app.console import first_line
from serve_app.errors import StartupError
from serve_app.files.writer import refuse_added_columns
from serve_app.settings import EngineName

# About a thousand shards: few enough for a directory, enough to keep many engines busy to the
# end. The bounds are seconds and minutes of work for an engine, the loss of a run that breaks.
SHARDS: Final = 1000
MIN_ROWS: Final = 2048
MAX_ROWS: Final = 65_536

# The value of a Hive partition without one.
NO_VALUE: Final = "__HIVE_DEFAULT_PARTITION__"

# A column that directories hold: its name, its value, and its type in Arrow.
PartitionColumn = tuple[str, str | int | None, str]


class Shard(NamedTuple):
    """Rows of a row group of an input file, from `start` on, that are scored and written together.

    `name` is the name of their output file; names sort as the rows do.
    """

    path: str
    row_group: int
    start: int
    rows: int
    name: str


@dataclass(frozen=True)
class InputFile:
    """A Parquet file: its path, its bytes, the rows of each of its row groups, its partition."""

    path: str
    size: int
    row_groups: tuple[int, ...]
    partition: tuple[PartitionColumn, ...] = ()


@dataclass(frozen=True)
class Job:
    """The properties of a run that must not change when it resumes; `model` is its name."""

    model: str
    digest: str
    engine: EngineName
    labels: tuple[str, ...]
    column: str
    files: tuple[InputFile, ...]

    @property
    def rows(self) -> int:
        """Number of rows of the input."""
        return sum(sum(file.row_groups) for file in self.files)

    def shards(self) -> list[Shard]:
        """Divide the input into shards; none holds rows of two row groups."""
        max_rows = min(MAX_ROWS, max(MIN_ROWS, self.rows // SHARDS))
        return [
            Shard(
                path=file.path,
                row_group=group,
                start=start,
                rows=min(max_rows, rows - start),
                name=f"part-{number:05}-{group:05}-{start:09}.parquet",
            )
            for number, file in enumerate(self.files)
            for group, rows in enumerate(file.row_groups)
            for start in range(0, rows, max_rows)
        ]

    def document(self) -> bytes:
        """Return the job as it is kept beside its output."""
        return (json.dumps(asdict(self), indent=2) + "\n").encode()


def input_files(
    location: str, column: str, labels: tuple[str, ...]
) -> tuple[FileSystem, tuple[InputFile, ...]]:
    """Find the Parquet files of a path or URI, and check that they can be scored.

    Files and directories whose names Spark would skip are not data. A directory `name=value`
    (Hive) gives the rows in it a column, of integers where all its values are.

    Raises:
        StartupError: There are no such files, the column does not hold strings, or the output
            would have one of the columns twice.
    """
    try:
        filesystem, path = file_system(location)
        found = filesystem.get_file_info(path)
        if found.type is FileType.NotFound:
            raise StartupError(
                f"cannot read {location}: it does not exist",
                "give a Parquet file or a directory of them",
            )
        infos = [found]
        if found.type is FileType.Directory:
            listed = filesystem.get_file_info(FileSelector(path, recursive=True))
            infos = sorted(
                (info for info in listed if info.is_file and _is_data(info.path[len(path) :])),
                key=lambda info: info.path,
            )
        partitions = _partitions([info.path[len(path) :] for info in infos])
        files = tuple(
            _input_file(filesystem, info, column, labels, partition)
            for info, partition in zip(infos, partitions, strict=True)
        )
    except (OSError, pa.ArrowInvalid) as error:
        raise StartupError(f"cannot read {location}: {first_line(error)}") from None
    if not files:
        raise StartupError(f"there is no *.parquet in {location}")
    return filesystem, files


def _is_data(path: str) -> bool:
    # As Spark's HadoopFSUtils.shouldFilterOutPathName.
    hidden = re.search(r"(^|/)(\.|_[^/=]*(/|$))", path)
    return path.lower().endswith(".parquet") and not hidden


def _partitions(paths: list[str]) -> list[list[PartitionColumn]]:
    """Return the columns of each path; all paths have the same, null where one lacks it."""
    stated = [dict(re.findall("([^/=]+)=([^/]*)/", path)) for path in paths]
    columns: list[list[PartitionColumn]] = [[] for _ in paths]
    for name in sorted({name for each in stated for name in each}):
        raw = [each.get(name, NO_VALUE) for each in stated]
        values = [None if value == NO_VALUE else unquote(value) for value in raw]
        found = {value for value in values if value is not None}
        # An integer is written as its digits: 007 is a string.
        integers = found and all(re.fullmatch(r"0|-?[1-9]\d{,17}", value) for value in found)
        for column, value in zip(columns, values, strict=True):
            kind = "int64" if integers else "string"
            column.append((unquote(name), int(value) if integers and value else value, kind))
    return columns


def _input_file(
    filesystem: FileSystem,
    info: FileInfo,
    column: str,
    labels: tuple[str, ...],
    partition: list[PartitionColumn],
) -> InputFile:
    path: str = info.path
    with pq.ParquetFile(path, filesystem=filesystem) as file:
        schema, metadata = file.schema_arrow, file.metadata
        if column not in schema.names:
            raise StartupError(
                f"{path} has no column {column!r}",
                f"choose one with --column: {', '.join(schema.names)}",
            )
        if not _is_text(schema.field(column).type):
            raise StartupError(
                f"the column {column!r} of {path} holds {schema.field(column).type}, not strings",
                "choose another one with --column",
            )
        # A column that the file has too is the file's.
        added = tuple(each for each in partition if each[0] not in schema.names)
        refuse_added_columns(path, [*schema.names, *(name for name, *_ in added)], labels)
        groups = (metadata.row_group(group).num_rows for group in range(metadata.num_row_groups))
        return InputFile(path, info.size, tuple(groups), added)


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return kind in {pa.string(), pa.large_string(), pa.string_view()}


def file_system(location: str) -> tuple[FileSystem, str]:
    """Return the file system of a path or URI, and the path there; local paths may be relative.

    Raises:
        StartupError: The URI is of an unknown kind.
    """
    try:
        if "://" not in location:
            location = Path(location).absolute().as_uri()
        filesystem, path = FileSystem.from_uri(location)
    except (pa.ArrowInvalid, OSError, ValueError) as error:
        raise StartupError(
            f"cannot open {location}: {first_line(error)}",
            "give a path, or a URI such as s3://bucket/path or abfs://container@account/path",
        ) from None
    return filesystem, path.rstrip("/")
