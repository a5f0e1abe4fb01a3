import gzip
import shutil
from pathlib import Path

import numpy as np
import pytest

from loadtest.report.histogram import percentile
from loadtest.report.run import read_run
from loadtest.report.series import MAX_STEPS, read_series
from loadtest.results import SAMPLES, SUMMARY, USAGE, RunUnreadable, read_summary

HEADER = "metric_name,timestamp,metric_value,error_code,name,scenario,status,extra_tags,metadata\n"


@pytest.fixture
def run(finished_run: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, to be damaged."""
    return Path(shutil.copytree(finished_run, tmp_path / "run"))


def write_samples(directory: Path, *rows: str) -> None:
    with gzip.open(directory / SAMPLES, "wt") as file:
        file.writelines([HEADER, *(f"{row}\n" for row in rows)])


def test_the_series_adds_up_to_the_totals_of_k6(finished_run: Path) -> None:
    run = read_run(finished_run)
    assert run.series.requests.sum() == run.summary.requests.count
    assert run.series.hits.sum() == run.summary.texts.hits
    assert run.series.misses.sum() == run.summary.texts.misses
    assert run.series.errors == {}


def test_the_percentiles_agree_with_those_of_k6(finished_run: Path) -> None:
    run = read_run(finished_run)
    k6 = run.summary.latency_ms.answered
    assert k6 is not None
    whole = run.series.latency.sum(axis=0)
    assert percentile(whole, 50) == pytest.approx(k6.p50, rel=0.02)
    assert percentile(whole, 95) == pytest.approx(k6.p95, rel=0.02)


def test_statuses_and_dropped_requests_are_counted_where_they_happen(tmp_path: Path) -> None:
    write_samples(
        tmp_path,
        "http_req_duration,100,5.0,,predict,spike,200,,",
        "http_req_duration,101,7.0,,predict,spike,429,,",
        "http_req_duration,101,0.0,1212,predict,spike,0,,",
        "http_req_duration,101,3.0,,info,,200,,",
        "dropped_iterations,102,4.0,,,spike,,,",
    )
    series = read_series(tmp_path, started_s=100.4, duration_s=2)
    assert series.requests.tolist() == [1, 2, 0, 0]
    assert {status: counts.tolist() for status, counts in series.errors.items()} == {
        "429": [0, 1, 0, 0],
        "0": [0, 1, 0, 0],
    }
    assert series.dropped.tolist() == [0, 0, 4, 0]


def test_the_latency_of_a_step_is_that_of_its_answers(tmp_path: Path) -> None:
    write_samples(
        tmp_path,
        "http_req_duration,100,900.0,,predict,spike,200,,",
        "http_req_duration,100,1.0,,predict,spike,429,,",
        "http_req_duration,100,2.0,,predict,spike,429,,",
        "http_req_duration,101,1.0,,predict,spike,429,,",
    )
    series = read_series(tmp_path, started_s=100.4, duration_s=1)
    first, second, _ = series.percentile(50)
    assert first == pytest.approx(900, rel=0.01)
    assert np.isnan(second)
    assert series.requests.tolist() == [3, 1, 0]


def test_a_long_run_is_read_in_longer_steps(tmp_path: Path) -> None:
    write_samples(tmp_path, "http_req_duration,28900,5.0,,predict,soak,200,,")
    series = read_series(tmp_path, started_s=100, duration_s=8 * 3600)
    assert len(series.latency) <= MAX_STEPS
    assert series.step_s == 121
    assert series.requests[28800 // 121] == 1


def test_a_missing_directory_is_told_with_what_to_pass(tmp_path: Path) -> None:
    with pytest.raises(RunUnreadable, match=r"cannot read .*No such file") as refused:
        read_run(tmp_path / "nowhere")
    assert "make load" in refused.value.hint


def test_a_summary_that_is_cut_off_is_told(run: Path) -> None:
    whole = (run / SUMMARY).read_text()
    (run / SUMMARY).write_text(whole[: len(whole) // 2])
    with pytest.raises(RunUnreadable, match=rf"{SUMMARY}: Invalid JSON: EOF"):
        read_run(run)


def test_a_summary_of_another_form_is_told_with_the_place(run: Path) -> None:
    (run / SUMMARY).write_text('{"format": 1}')
    with pytest.raises(RunUnreadable, match=rf"{SUMMARY}: format: Input should be 2"):
        read_run(run)


def test_samples_that_are_cut_off_are_told(run: Path) -> None:
    whole = (run / SAMPLES).read_bytes()
    (run / SAMPLES).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RunUnreadable, match=rf"{SAMPLES} is cut off"):
        read_run(run)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"plain text", "cannot be read: Not a gzipped file"),
        (gzip.compress(b"a,b\n1,2\n", mtime=0), "is not the CSV that k6 writes"),
        (gzip.compress(HEADER.encode() + b"http_req_duration,x,y\n", mtime=0), "is not the CSV"),
        (gzip.compress(HEADER.encode(), mtime=0), "holds no request"),
    ],
)
def test_samples_of_another_form_are_told(run: Path, content: bytes, problem: str) -> None:
    (run / SAMPLES).write_bytes(content)
    with pytest.raises(RunUnreadable, match=problem):
        read_run(run)


def test_missing_samples_are_told(run: Path) -> None:
    (run / SAMPLES).unlink()
    with pytest.raises(RunUnreadable, match=rf"{SAMPLES} cannot be read: No such file"):
        read_run(run)


def test_samples_of_another_run_are_told(run: Path) -> None:
    write_samples(run, "http_req_duration,100,5.0,,predict,family,200,,")
    with pytest.raises(RunUnreadable, match="samples of another time"):
        read_run(run)


def test_a_run_without_a_request_is_told(run: Path) -> None:
    summary = read_summary(run)
    requests = summary.requests.model_copy(update={"count": 0})
    empty = summary.model_copy(update={"requests": requests})
    (run / SUMMARY).write_text(empty.model_dump_json())
    with pytest.raises(RunUnreadable, match="without a request"):
        read_run(run)


def test_an_observation_that_is_cut_off_is_told_with_its_line(run: Path) -> None:
    (run / USAGE).write_text('{"time_s": 1, "ready": true, "cache": null, "roles": {}}\n{"time_s')
    with pytest.raises(RunUnreadable, match=rf"{USAGE}, line 2: Invalid JSON"):
        read_run(run)
