from pathlib import Path

import pytest

from serve_app.ray_serve.launch import HAPROXY, environment


@pytest.mark.parametrize(
    ("terminal", "no_color", "asked"), [(True, "", None), (True, "1", "0"), (False, "", "0")]
)
def test_log_lines_are_coloured_at_a_terminal_only(
    terminal: bool,
    no_color: str,
    asked: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal)
    monkeypatch.setenv("NO_COLOR", no_color)
    assert environment(Path("configs/dev.yaml"), "run", tmp_path).get("RAY_COLOR_PREFIX") == asked


def test_ray_starts_our_haproxy_in_every_run(tmp_path: Path) -> None:
    assert environment(Path("configs/prod.yaml"), "run", tmp_path).items() >= HAPROXY.items()
