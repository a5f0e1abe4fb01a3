"""What a run is about: which rows, which model, and the parts that its output is made of.

A part is scored and written as a whole, under a name that says which rows it holds. A run that
goes on skips the parts that are there, so that every row comes out exactly once, whatever broke
in between.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.fs import FileInfo, FileSelector, FileSystem, FileType

from serve_app.errors import StartupError
from serve_app.files.reader import added_columns
from serve_app.settings import EngineName

# A thousand parts or so: few enough for a directory, enough to keep many engines busy to the end.
# The bounds are seconds and minutes of work for an engine, which is what a broken run repeats.
PARTS: Final = 1000
LEAST_ROWS: Final = 2048
MOST_ROWS: Final = 65_536
# Readers of Parquet directories pass over names that begin with an underscore or a dot.
JOB: Final = "_job.json"


class Part(NamedTuple):
    """Rows that are scored and written together.

    Attributes:
        path: The file of the input that they are in.
        row_group: The row group in this file.
        start: The first of them, in this row group.
        rows: How many they are.
        name: Name of the file that they go to; names sort as the rows do.
    """

    path: str
    row_group: int
    start: int
    rows: int
    name: str


@dataclass(frozen=True)
class InputFile:
    """A Parquet file.

    Attributes:
        path: Its path in its file system.
        size: Its bytes.
        row_groups: Rows of each of its row groups.
    """

    path: str
    size: int
    row_groups: tuple[int, ...]


@dataclass(frozen=True)
class Job:
    """What must not change when a run goes on.

    Attributes:
        source: The model, as it is named.
        digest: Its digest.
        engine: What runs it.
        labels: Its labels.
        column: The column that holds the text.
        files: The input.
    """

    source: str
    digest: str
    engine: EngineName
    labels: tuple[str, ...]
    column: str
    files: tuple[InputFile, ...]

    @property
    def rows(self) -> int:
        """How many rows the input has."""
        return sum(sum(file.row_groups) for file in self.files)

    def parts(self) -> list[Part]:
        """Divide the input into parts; none holds rows of two row groups."""
        most = min(MOST_ROWS, max(LEAST_ROWS, self.rows // PARTS))
        return [
            Part(
                path=file.path,
                row_group=group,
                start=start,
                rows=min(most, rows - start),
                name=f"part-{number:05}-{group:05}-{start:09}.parquet",
            )
            for number, file in enumerate(self.files)
            for group, rows in enumerate(file.row_groups)
            for start in range(0, rows, most)
        ]

    def document(self) -> bytes:
        """Return the job as it is kept beside its output."""
        return (json.dumps(asdict(self), indent=2) + "\n").encode()


def input_files(
    location: str, column: str, labels: tuple[str, ...]
) -> tuple[FileSystem, tuple[InputFile, ...]]:
    """Find the input, and make sure that it can be scored.

    Args:
        location: A Parquet file or a directory of such files, as a path or a URI.
        column: The column that holds the text.
        labels: The model's labels, which name columns of the output.

    Raises:
        StartupError: There are no such files, or their columns do not fit.
    """
    try:
        filesystem, path = file_system(location)
        found = filesystem.get_file_info(path)
        if found.type is FileType.NotFound:
            raise StartupError(
                f"cannot read {location}: there is nothing",
                "give a Parquet file or a directory of them",
            )
        if found.type is FileType.Directory:
            infos = filesystem.get_file_info(FileSelector(path, recursive=True))
            found_files = sorted(filter(_is_data, infos), key=lambda info: info.path)
        else:
            found_files = [found]
        files = tuple(_input_file(filesystem, each, column, labels) for each in found_files)
    except (OSError, pa.ArrowInvalid) as error:
        raise StartupError(f"cannot read {location}: {_first_line(error)}") from None
    if not files:
        raise StartupError(f"there is no *.parquet in {location}")
    return filesystem, files


def _is_data(info: FileInfo) -> bool:
    return info.base_name.endswith(".parquet") and not info.base_name.startswith(("_", "."))


def _input_file(
    filesystem: FileSystem, info: FileInfo, column: str, labels: tuple[str, ...]
) -> InputFile:
    path: str = info.path
    with pq.ParquetFile(path, filesystem=filesystem) as file:
        schema, metadata = file.schema_arrow, file.metadata
        if column not in schema.names:
            raise StartupError(
                f"{path} has no column {column!r}",
                f"choose one with --column: {', '.join(schema.names)}",
            )
        if not is_text(schema.field(column).type):
            raise StartupError(
                f"the column {column!r} of {path} holds {schema.field(column).type}, not strings",
                "choose another one with --column",
            )
        if taken := set(added_columns(labels)).intersection(schema.names):
            raise StartupError(
                f"{path} has a column {', '.join(sorted(taken))} already",
                "rename it, or give an input that has not been scored",
            )
        groups = (metadata.row_group(group).num_rows for group in range(metadata.num_row_groups))
        return InputFile(path, info.size, tuple(groups))


def is_text(kind: pa.DataType) -> bool:
    """Tell whether a column of this type holds strings, be it through a dictionary."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def file_system(location: str) -> tuple[FileSystem, str]:
    """Return where a location is, and its path there; local paths may be relative.

    Raises:
        StartupError: The location is a URI that nobody knows.
    """
    try:
        if "://" not in location:
            location = Path(location).absolute().as_uri()
        filesystem, path = FileSystem.from_uri(location)
    except (pa.ArrowInvalid, OSError, ValueError) as error:
        raise StartupError(
            f"cannot make out {location}: {_first_line(error)}",
            "give a path, or a URI such as s3://bucket/path or abfs://container@account/path",
        ) from None
    return filesystem, path.rstrip("/")


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
