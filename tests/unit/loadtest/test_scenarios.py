from pathlib import Path

import pytest

from loadtest.k6_process import NAMES, check
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


def test_an_unknown_scenario_is_refused_with_the_known_ones() -> None:
    with pytest.raises(StartupError, match="no scenario 'famly'") as refused:
        check("famly")
    assert "family" in refused.value.hint
