"""The directory that a job's parts are written to."""

import uuid
from typing import Final, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.fs import FileSelector, FileSystem, FileType

from serve_app.batch.job import JOB, Job, Part
from serve_app.errors import StartupError
from serve_app.files.reader import ERROR

_UNFINISHED: Final = ".unfinished-"


class Output(NamedTuple):
    """A directory.

    Attributes:
        filesystem: Where it is.
        directory: Its path there.
    """

    filesystem: FileSystem
    directory: str

    def begin(self, job: Job, *, resume: bool) -> None:
        """Take the directory for a job, new or begun.

        Raises:
            StartupError: It holds something else, or is not to be resumed.
        """
        names = self._names()
        if names and not resume:
            raise StartupError(
                f"{self.directory} is not empty", "go on with --resume, or give another directory"
            )
        if names:
            if JOB not in names or self._read(JOB) != job.document():
                raise StartupError(
                    f"{self.directory} holds the output of another run",
                    "resume with the input, column, model and engine of the first run",
                )
            for name in names:
                if name.startswith(_UNFINISHED):
                    self.filesystem.delete_file(self._path(name))
            return
        self.filesystem.create_dir(self.directory, recursive=True)
        with self.filesystem.open_output_stream(self._path(JOB)) as stream:
            stream.write(job.document())

    def missing(self, job: Job) -> list[Part]:
        """Return the parts of a job that are not there."""
        names = self._names()
        return [part for part in job.parts() if part.name not in names]

    def has(self, part: Part) -> bool:
        """Tell whether a part is there."""
        return self.filesystem.get_file_info(self._path(part.name)).type is not FileType.NotFound

    def write(self, part: Part, table: pa.Table) -> None:
        """Write a part, so that it is there as a whole or not at all."""
        aside = self._path(f"{_UNFINISHED}{uuid.uuid4().hex}")
        pq.write_table(table, aside, filesystem=self.filesystem)
        self.filesystem.move(aside, self._path(part.name))

    def verify(self, job: Job) -> int:
        """Make sure that every row of a job is there once.

        Returns:
            How many of them have no scores, whichever run has written them.

        Raises:
            StartupError: A part has other rows than it should, or is missing.
        """
        return sum(self._failed(part) for part in job.parts())

    def _failed(self, part: Part) -> int:
        path = self._path(part.name)
        with pq.ParquetFile(path, filesystem=self.filesystem) as file:
            rows: int = file.metadata.num_rows
            if rows != part.rows:
                raise StartupError(
                    f"{path} has {rows} rows in place of {part.rows}",
                    "remove it and go on with --resume",
                )
            return rows - int(file.read([ERROR])[ERROR].null_count)

    def _names(self) -> set[str]:
        selector = FileSelector(self.directory, allow_not_found=True)
        return {info.base_name for info in self.filesystem.get_file_info(selector)}

    def _read(self, name: str) -> bytes:
        with self.filesystem.open_input_stream(self._path(name)) as stream:
            content: bytes = stream.read()
            return content

    def _path(self, name: str) -> str:
        return f"{self.directory}/{name}"
