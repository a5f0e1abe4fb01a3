"""One part: read, score, write."""

from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.fs import FileSystem

from serve_app.batch.job import Job, Part
from serve_app.batch.output import Output
from serve_app.bulk.local import LocalScorer
from serve_app.bulk.record import ERROR, LABEL, SCORE, Outcome, Record, added_fields
from serve_app.bulk.run import score_chunk
from serve_app.client.request import chunks
from serve_app.errors import ModelUnusable
from serve_app.model.store import resolve


class PartScorer:
    """Scores parts with a model of its own.

    Args:
        job: What the run is about.
        source: Where the input is.
        output: Where the parts go.

    Raises:
        ModelUnusable: The model is missing here, or is another one than the job's.
    """

    def __init__(self, job: Job, source: FileSystem, output: Output) -> None:
        digest = resolve(job.source).digest
        if digest != job.digest:
            raise ModelUnusable(
                f"{job.source} has digest {digest} on this node, the job expects {job.digest}",
                "give every node the same model",
            )
        self._job = job
        self._source = source
        self._output = output
        self._scorer = LocalScorer(job.source, job.engine, print)

    def score(self, part: Part) -> None:
        """Score a part and write it."""
        table = self._read(part)
        records = [_record(text) for text in _texts(table.column(self._job.column))]
        outcomes = [
            result.outcome
            for chunk in chunks(records, lambda each: len(each.text), self._scorer.budget)
            for result in score_chunk(self._scorer, chunk)
        ]
        self._output.write(part, with_outcomes(table, self._job.labels, outcomes))

    def _read(self, part: Part) -> pa.Table:
        with pq.ParquetFile(part.path, filesystem=self._source) as file:
            group: pa.Table = file.read_row_group(part.row_group)
            return group.slice(part.start, part.rows)


def with_outcomes(table: pa.Table, labels: tuple[str, ...], outcomes: list[Outcome]) -> pa.Table:
    """Return a table with the columns that its rows get; scores are float32.

    Args:
        table: The rows.
        labels: The model's labels.
        outcomes: An outcome for each row.
    """
    kinds = {LABEL: pa.string(), **{SCORE + each: pa.float32() for each in labels}}
    kinds[ERROR] = pa.string()
    rows = [added_fields(labels, outcome) for outcome in outcomes]
    for name, kind in kinds.items():
        table = table.append_column(name, pa.array([row[name] for row in rows], kind))
    return table


def _texts(column: pa.ChunkedArray) -> list[str | None]:
    """Return the texts of a column; bytes that are no UTF-8 become surrogate escapes."""
    encoded: list[bytes | None] = column.cast(pa.large_string()).cast(pa.large_binary()).to_pylist()
    return [None if each is None else each.decode(errors="surrogateescape") for each in encoded]


def _record(text: str | None) -> Record:
    fields: dict[str, Any] = {}
    return Record(fields, "", "the text is null") if text is None else Record(fields, text)
