from pathlib import Path

import pytest

from serve_app.capacity import Load, report
from serve_app.cli.__main__ import main

DOCS = Path(__file__).parents[3] / "docs"


def test_a_plan_names_its_parts_and_what_it_rests_on() -> None:
    printed = report(Load(2000, 1, 24, 0.6), 10_000, "measured by me")
    for part in ("gateways", "classifiers", "worker pods", "nodes"):
        assert part in printed
    assert "10,000 tokens/s a classifier: measured by me" in printed
    assert "headroom" in printed


def test_a_load_beyond_the_limits_says_so() -> None:
    assert "exceeds the limit" in report(Load(1e6, 1, 24, 0), 10_000, "measured by me")


def test_the_command_answers_as_the_document_shows(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    question = ["--rps", "2000", "--texts", "1", "--tokens", "24", "--hit-rate", "0.6"]
    monkeypatch.setattr("sys.argv", ["sentiment", "capacity", *question])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    assert capsys.readouterr().out in (DOCS / "scaling.md").read_text()
