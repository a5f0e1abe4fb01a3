from serve_app.api.request_record import Report, RequestMetrics
from serve_app.scores import StageTimes
from tests.unit.telemetry.recorded_metrics import RecordedMetrics

ANSWERED = Report(
    0.0, "mine", "/project/predict", 200, "ok", 3, 2, 1, 1, StageTimes(2.0, 0.0, 0.0), 0.5
)
REFUSED = ANSWERED._replace(status=429, outcome="overloaded", times=None)


def metered(*reports: Report) -> RecordedMetrics:
    meters = RecordedMetrics()
    for report in reports:
        RequestMetrics(meters)(report)
    return meters


def test_answers_are_counted_and_timed() -> None:
    meters = metered(ANSWERED, ANSWERED)
    assert meters.counts["sentiment_requests", "200", "ok"] == 2
    assert meters.counts["sentiment_truncated_texts",] == 2
    assert meters.observed["sentiment_request_seconds"] == [0.5, 0.5]
    assert meters.observed["sentiment_cache_seconds"] == [0.002, 0.002]


def test_refusals_are_counted_by_reason_and_not_timed() -> None:
    meters = metered(REFUSED)
    assert meters.counts == {
        ("sentiment_requests", "429", "overloaded"): 1,
        ("sentiment_refused_texts", "overloaded"): 3,
    }
    assert meters.observed == {}


def test_a_refusal_before_its_texts_are_counted_has_none() -> None:
    meters = metered(REFUSED._replace(texts=None))
    assert ("sentiment_refused_texts", "overloaded") not in meters.counts
