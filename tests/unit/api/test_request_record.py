import io
import json
from dataclasses import replace
from typing import Any

import pytest

from serve_app.api.request_record import (
    MAX_ID_CHARS,
    MAX_WAITING,
    RequestLog,
    RequestMetrics,
    RequestRecord,
)
from serve_app.scores import StageTimes
from serve_app.telemetry.logs import LogForm
from tests.unit.telemetry.recorded_metrics import RecordedMetrics

ANSWERED = RequestRecord(
    ended=1.25,
    request_id="mine",
    path="/project/predict",
    status=200,
    outcome="ok",
    texts=3,
    hits=2,
    misses=1,
    truncated=1,
    times=StageTimes(0.1234, 2.0, 30.0),
    seconds=0.0325,
)
REFUSED = replace(ANSWERED, status=504, outcome="deadline-exceeded", texts=None, times=None)


def lines(form: LogForm, *reports: RequestRecord) -> list[str]:
    stream = io.StringIO()
    log = RequestLog(form, stream)
    for report in reports:
        log(report)
    log.write()
    return stream.getvalue().splitlines()


def members(report: RequestRecord) -> dict[str, Any]:
    (line,) = lines("json", report)
    found: dict[str, Any] = json.loads(line)
    return found


def test_an_answer_is_one_object_with_counts_and_timings() -> None:
    assert members(ANSWERED) == {
        "time": "1970-01-01T00:00:01.250Z",
        "level": "info",
        "logger": "serve_app.request",
        "request_id": "mine",
        "path": "/project/predict",
        "status": 200,
        "outcome": "ok",
        "total_ms": 32.5,
        "texts": 3,
        "cache_hits": 2,
        "cache_misses": 1,
        "truncated": 1,
        "cache_ms": 0.123,
        "queue_ms": 2.0,
        "inference_ms": 30.0,
    }


def test_a_refusal_says_why_and_nothing_that_is_not_known() -> None:
    refused = members(REFUSED)
    assert (refused["level"], refused["outcome"]) == ("error", "deadline-exceeded")
    assert not {"texts", "cache_hits", "inference_ms"} & set(refused)


def test_a_person_reads_one_line_a_request() -> None:
    answered, refused = lines("text", ANSWERED, REFUSED)
    assert "200 32.5 ms texts=3 hits=2" in answered
    assert "504 32.5 ms deadline-exceeded" in refused


@pytest.mark.parametrize("form", ["json", "text"])
def test_an_id_cannot_pass_for_another_line(form: LogForm) -> None:
    forged = replace(ANSWERED, request_id='x"\n{"status": 200}\x1b[2J' + "y" * 9999)
    (line,) = lines(form, forged)
    assert "\x1b" not in line
    assert len(line) < 400 + MAX_ID_CHARS


def test_a_stream_that_takes_nothing_costs_bounded_memory() -> None:
    log = RequestLog("json", io.StringIO())
    for _ in range(MAX_WAITING + 9):
        log(ANSWERED)
    assert len(log._waiting) == MAX_WAITING


def test_a_closed_stream_does_not_end_the_thread_that_writes() -> None:
    stream = io.StringIO()
    log = RequestLog("json", stream)
    log(ANSWERED)
    stream.close()
    log.write()


def test_nothing_is_logged_while_it_is_off() -> None:
    stream = io.StringIO()
    log = RequestLog("json", stream)
    log.enabled = False
    log(ANSWERED)
    log.write()
    assert stream.getvalue() == ""


COUNTED = replace(ANSWERED, times=StageTimes(2.0, 0.0, 0.0), seconds=0.5)
NOT_ANSWERED = replace(COUNTED, status=429, outcome="overloaded", times=None)


def metered(*reports: RequestRecord) -> RecordedMetrics:
    meters = RecordedMetrics()
    for report in reports:
        RequestMetrics(meters)(report)
    return meters


def test_answers_are_counted_and_timed() -> None:
    meters = metered(COUNTED, COUNTED)
    assert meters.counts["sentiment_requests", "200", "ok"] == 2
    assert meters.counts["sentiment_truncated_texts",] == 2
    assert meters.observed["sentiment_request_seconds"] == [0.5, 0.5]
    assert meters.observed["sentiment_cache_seconds"] == [0.002, 0.002]


def test_refusals_are_counted_by_reason_and_not_timed() -> None:
    meters = metered(NOT_ANSWERED)
    assert meters.counts == {
        ("sentiment_requests", "429", "overloaded"): 1,
        ("sentiment_refused_texts", "overloaded"): 3,
    }
    assert meters.observed == {}


def test_a_refusal_before_its_texts_are_counted_has_none() -> None:
    meters = metered(replace(NOT_ANSWERED, texts=None))
    assert ("sentiment_refused_texts", "overloaded") not in meters.counts
