"""Files through the pipeline: read, scored and rendered."""

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING

from serve_app.files.reader import TABLES, Format, read
from serve_app.files.scorers import score
from serve_app.files.writer import Layout

if TYPE_CHECKING:
    from tests.unit.files.conftest import HashScorer


def scored(
    content: bytes, source: Format, target: Format, scorer: "HashScorer", done: int = 0
) -> Iterator[bytes]:
    """Yield the header and then the rows from `done` on, in pieces."""
    given_rows = read(io.BytesIO(content), source, "text")
    layout = Layout(target, given_rows.columns, scorer.labels)
    yield layout.header()
    rows = given_rows.aligned() if target in TABLES else given_rows.rows
    with ThreadPoolExecutor(2) as threads:
        for results in score(islice(rows, done, None), scorer, threads, 2):
            yield layout.rows(results)


def all_of(content: bytes, source: Format, target: Format, scorer: "HashScorer") -> bytes:
    return b"".join(scored(content, source, target, scorer))


def jsonl_of(rows: Sequence[Mapping[str, object]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()
