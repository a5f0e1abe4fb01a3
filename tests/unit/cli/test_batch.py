from pathlib import Path

import pytest

from serve_app.cli.batch import MAX_TMPDIR_BYTES, prepare_ray
from serve_app.errors import StartupError


@pytest.mark.parametrize("name", ["TMPDIR", "RAY_TMPDIR"])
def test_a_directory_for_temporary_files_that_is_too_long_for_sockets_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for variable in ("RAY_ADDRESS", "RAY_TMPDIR", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN"):
        # Restores what `prepare_ray` sets.
        monkeypatch.setenv(variable, "")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv(name, "/" + "x" * MAX_TMPDIR_BYTES)
    with pytest.raises(
        StartupError, match=rf"^\${name} has {MAX_TMPDIR_BYTES + 1} bytes"
    ) as caught:
        prepare_ray()
    assert f"{name}=/tmp" in caught.value.hint
    monkeypatch.setenv(name, "/" + "x" * (MAX_TMPDIR_BYTES - 1))
    assert not prepare_ray()


def test_the_directory_does_not_matter_where_a_cluster_runs_already(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    monkeypatch.setenv("TMPDIR", str(tmp_path / ("x" * 200)))
    assert prepare_ray() == "10.0.0.1:6379"
