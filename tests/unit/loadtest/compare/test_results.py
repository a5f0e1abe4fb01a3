from math import isnan
from pathlib import Path

import pytest

from loadtest.compare.report import markdown
from loadtest.compare.results import OURS, Results, Sample, read


def sample(session: str, system: str, requests_s: float, workload: str = "U1") -> Sample:
    return Sample(session, system, workload, requests_s, requests_s, 1.0, 2.0, 0.0)


RESULTS = Results(
    machine={
        "cores": 2,
        "cpu": "one",
        "flags": ["avx2"],
        "governor": "none",
        "memory_gib": 8,
        "kernel": "6",
        "busy_before": 0.0,
        "python": "3.12",
        "versions": {"ray": "2.60.0"},
        "commit": "abc",
    },
    versions={"fastapi": "1.0"},
    samples=[
        sample("monday", OURS, 100),
        sample("monday", "fastapi", 50),
        sample("monday", OURS, 120),
        sample("tuesday", OURS, 10),
        sample("tuesday", "fastapi", 10),
        sample("wednesday", "fastapi", 1),
    ],
)


def test_ratios_compare_what_was_measured_in_one_session() -> None:
    median, least, most = RESULTS.ratio("fastapi", "U1")
    assert (least, most) == (1.0, 2.2)
    assert median == pytest.approx(1.6)


def test_a_sample_beside_other_work_counts_only_alone() -> None:
    busy = sample("monday", OURS, 1)._replace(others_cpu=0.3)
    beside = RESULTS._replace(samples=[*RESULTS.samples, busy])
    assert beside.ratio("fastapi", "U1") == RESULTS.ratio("fastapi", "U1")
    assert RESULTS._replace(samples=[busy]).median(OURS, "U1", "requests_s") == 1


def test_a_workload_without_samples_has_no_ratio() -> None:
    assert isnan(RESULTS.ratio("fastapi", "H1")[0])


def test_results_come_back_from_their_file(tmp_path: Path) -> None:
    RESULTS.write(tmp_path / "results.json")
    assert read(tmp_path / "results.json") == RESULTS


def test_the_report_sets_each_peer_beside_ours() -> None:
    assert "| fastapi | 10 (**1.60**) |" in markdown(RESULTS)
