import re
from pathlib import Path

import pytest

from loadtest.k6_process import NAMES, check
from loadtest.report.report import report
from loadtest.results import Summary, read_summary
from serve_app.errors import StartupError
from tests.unit.loadtest.conftest import ContentTypes, RecordingService, RunK6

BROKEN_THRESHOLD = 99


def ratio(summary: Summary) -> float:
    assert summary.texts.hit_ratio is not None
    return summary.texts.hit_ratio


@pytest.mark.parametrize("scenario", [name for name in NAMES if name != "family"])
def test_each_scenario_runs_and_leaves_its_summary(
    run_k6: RunK6, tmp_path: Path, scenario: str
) -> None:
    duration = "4s" if scenario == "spike" else "1s"
    assert run_k6(scenario, tmp_path, DURATION=duration, RATE="20", SPIKE_RATE="30") == 0
    summary = read_summary(tmp_path)
    assert summary.scenario == scenario
    assert summary.requests.count > 0
    assert summary.requests.failed == 0
    assert summary.texts.count == 10 * summary.requests.count
    assert (ratio(summary) == 0) is (scenario in {"unique", "spike"})
    assert summary.service.model == "acme/tiny-sst2"
    assert all(threshold.ok for threshold in summary.thresholds)
    assert summary.client is not None


def test_95_percent_of_the_family_s_texts_are_known_and_whole_requests_are_new(
    finished_run: Path,
) -> None:
    summary = read_summary(finished_run)
    assert summary.requests.count > 100
    # Nine standard deviations below the mean, should there be as few as 100 requests.
    assert 0.75 < ratio(summary) < 1
    assert summary.texts.misses % 10 == 0
    assert summary.latency_ms.cached is not None
    assert summary.latency_ms.computed is not None


def test_the_family_sends_no_content_type(finished_run: Path, content_types: ContentTypes) -> None:
    assert set(content_types.seen) == {None}


def test_zipf_replays_a_traffic_file(
    run_k6: RunK6, service: RecordingService, tmp_path: Path
) -> None:
    lines = [f"review {n} of the file" for n in range(5)]
    traffic = tmp_path / "traffic.txt"
    traffic.write_text("\n".join(lines) + "\n")
    before = len(service.requests)
    settings = {"DURATION": "1s", "RATE": "10", "TEXTS": "2", "TRAFFIC": str(traffic)}
    assert run_k6("zipf", tmp_path, **settings) == 0
    asked = [text for request in service.requests[before:] for text in request]
    assert set(asked) == set(lines)


def test_a_broken_threshold_gives_another_status(run_k6: RunK6, tmp_path: Path) -> None:
    assert run_k6("unique", tmp_path, DURATION="1s", VUS="1", P99_MS="0") == BROKEN_THRESHOLD
    broken = [threshold.rule for threshold in read_summary(tmp_path).thresholds if not threshold.ok]
    assert broken == ["p(99)<0"]


def test_refusals_are_counted_and_timed_apart_from_answers(
    run_k6: RunK6, service: RecordingService, tmp_path: Path
) -> None:
    service.refuses = True
    try:
        run_k6("breakpoint", tmp_path, DURATION="2s", RATE="40")
    finally:
        service.refuses = False
    summary = read_summary(tmp_path)
    answered, refused = summary.latency_ms.answered, summary.latency_ms.refused
    assert answered
    assert refused
    assert refused.count == summary.requests.refused > 0
    assert answered.count == summary.requests.count - summary.requests.refused
    page = report([tmp_path], tmp_path / "out").read_text()
    first = re.search('<p class="gist">(.*)</p>', page)
    assert first
    assert f"0 failed, {refused.count:,} refused, 0 not sent, answers in p50" in first[1]
    assert page.index("Latency of answers") < page.index("Latency of refusals")


def test_calm_that_is_refused_breaks_the_spike(
    run_k6: RunK6, service: RecordingService, tmp_path: Path
) -> None:
    service.refuses = True
    try:
        status = run_k6("spike", tmp_path, DURATION="4s", RATE="20", SPIKE_RATE="30")
    finally:
        service.refuses = False
    assert status == BROKEN_THRESHOLD
    broken = {each.metric for each in read_summary(tmp_path).thresholds if not each.ok}
    assert broken == {"refused{scenario:before}", "refused{scenario:after}"}


def test_an_unknown_scenario_is_refused_with_the_known_ones() -> None:
    with pytest.raises(StartupError, match="no scenario 'famly'") as refused:
        check("famly")
    assert "family" in refused.value.hint
