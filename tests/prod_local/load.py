"""A steady load on all nodes, whose every answer is checked."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from loadtest.answers import Revision, margins_of, problem
from loadtest.generator import Load, Record, Stream
from loadtest.traffic import by_revision, hits, percentile_s, requests

_PAUSE_S: Final = 0.1
# Six clients, with one to four texts a request.
_STREAMS: Final = tuple(
    Stream(f"{texts}", texts=texts, connections=connections, pause_s=_PAUSE_S)
    for texts, connections in ((1, 1), (2, 2), (3, 2), (4, 1))
)


def urls_of(nodes: Sequence[str]) -> list[str]:
    """Return where the nodes are asked for predictions."""
    return [f"{node}/project/predict" for node in nodes]


def load_on(nodes: Sequence[str], known: Sequence[Revision]) -> Load:
    """Return a load on all nodes in turn; its URLs may change, as the endpoints of a Service do."""
    margins = margins_of(*known)
    streams = [(stream, requests(stream, known[0].margins)) for stream in _STREAMS]
    return Load(
        urls_of(nodes), lambda asked, answer: problem(asked.texts, answer, margins), streams
    )


class Summary:
    """Counts of the requests that were sent since a moment.

    Args:
        load: The load.
        moment: When, in seconds since the epoch.
        node: Those that this one took; by default, all.
    """

    def __init__(self, load: Load, moment: float, node: str = "") -> None:
        records = [
            record
            for record in list(load.records)
            if record.sent >= moment and record.url.startswith(node)
        ]
        self.requests = len(records)
        self.by_revision = by_revision(records)
        self.problems = Counter(_problem(each) for each in records if each.kind != "right")
        self.hits = hits(records)
        self._median_ms, self._max_ms = (1000 * percentile_s(records, each) for each in (50, 100))

    @property
    def failed(self) -> int:
        """How many were answered wrongly or not at all."""
        return self.problems.total()

    def __str__(self) -> str:
        """Return the counts in one line."""
        problems = ", ".join(f"{count} x {what}" for what, count in self.problems.items())
        return (
            f"{self.requests} requests, {self.failed} failed{f' ({problems})' if problems else ''}"
            f", median {self._median_ms:.0f} ms, slowest {self._max_ms:.0f} ms"
        )


def _problem(record: Record) -> str:
    return record.note or f"status {record.status}"
