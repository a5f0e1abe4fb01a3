"""What a case has shown."""

from collections.abc import Iterable
from typing import NamedTuple

from loadtest.generator import Record
from loadtest.scale.verdicts import Verdict
from loadtest.traffic import Counts, counts
from serve_app.console import say


class Row(NamedTuple):
    """One fault: what became of the requests meanwhile, and what else was promised.

    Attributes:
        fault: What was done to the service.
        counts: What became of the requests.
        verdicts: Promises, and whether they were kept.
    """

    fault: str
    counts: Counts
    verdicts: list[Verdict]


def in_time(claim: str, seconds: float | None, *, besides: bool = True) -> Verdict:
    """Judge what had to become true, by `seconds_until`, and what else belongs to the claim."""
    figure = "not in time" if seconds is None else f"after {seconds:.1f} s"
    return Verdict(claim, figure, seconds is not None and besides)


def row(
    fault: str,
    records: Iterable[Record],
    *verdicts: Verdict,
    lossless: bool = False,
    broken: int = 0,
) -> Row:
    """Judge what became of the requests of a fault, and say so."""
    seen = counts(records)
    if lossless:
        kept, claim = seen.lossless, "every request is answered right"
    else:
        kept, claim = seen.clean, "every request is answered right or refused clearly"
    if broken:
        kept = seen.broken <= broken and not seen.wrong
        claim = f"at most {broken} connections end without an answer, none is wrong"
    judged = Row(fault, seen, [Verdict(claim, str(seen), kept), *verdicts])
    say(f"{fault}: {seen}")
    for verdict in judged.verdicts:
        say(f"  {'kept  ' if verdict.holds else 'BROKEN'} {verdict.claim}: {verdict.figure}")
    return judged
