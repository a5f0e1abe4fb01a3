import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from serve_app.errors import StartupError
from serve_app.ray_serve.launch import HAPROXY, environment, private_directory


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


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A temporary directory whose path leaves room for those of sockets, unlike pytest's."""
    directory = Path(tempfile.mkdtemp(prefix="t-", dir="/tmp"))
    monkeypatch.setenv("TMPDIR", str(directory))
    yield directory
    shutil.rmtree(directory)


def test_a_run_has_a_directory_that_nobody_else_enters_and_that_is_removed(short: Path) -> None:
    with private_directory() as directory:
        assert directory.parent == short
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        (directory / "ray").mkdir()
    assert list(short.iterdir()) == []


def test_a_directory_is_removed_after_an_error_too(short: Path) -> None:
    with pytest.raises(KeyboardInterrupt), private_directory():
        raise KeyboardInterrupt
    assert list(short.iterdir()) == []


def test_sockets_fit_wherever_temporary_files_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "much" / "too" / "long"))
    with private_directory() as directory:
        variables = environment(Path("configs/prod.yaml"), "run", directory)
    node, process = "n" * 56, "4194304"
    session = f"session_2026-01-01_00-00-00_000000_{process}"
    haproxy = Path(variables["RAY_SERVE_HAPROXY_SOCKET_PATH"])
    assert len(f"{directory}/ray/{session}/sockets/plasma_store") <= 107
    assert len(f"{haproxy.parent}/{node}/{haproxy.name}.{process}.tmp") <= 107


def test_a_configuration_cannot_move_the_files_of_a_run(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("environment: {RAY_TMPDIR: /elsewhere, RAY_SERVE_HAPROXY_SOCKET_PATH: /else}")
    variables = environment(config, "run", tmp_path)
    assert variables["RAY_TMPDIR"] == str(tmp_path)
    assert Path(variables["RAY_SERVE_HAPROXY_SOCKET_PATH"]).parent == tmp_path


def test_a_temporary_directory_that_cannot_be_written_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TMPDIR", "/dev/null")
    problem = "cannot make a directory in /dev/null"
    with pytest.raises(StartupError, match=problem), private_directory():
        pass
