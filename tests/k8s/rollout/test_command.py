import io
import sys
from pathlib import Path

import pytest

from serve_app.cli.__main__ import main
from serve_app.console import install
from serve_app.rollout.cluster import Api
from serve_app.rollout.rollout import Rollout
from tests.k8s.rollout.api_server import ApiServer
from tests.k8s.rollout.operator import MISSING_IMAGE
from tests.k8s.rollout.release import NAME, NAMESPACE, SECOND, release, rendered


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["sentiment", "rollout", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    assert isinstance(end.value.code, int)
    return end.value.code


def test_a_placeholder_digest_is_refused_before_anything_is_sent(
    server: ApiServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    manifest = tmp_path / "rendered.yaml"
    manifest.write_text(rendered("0" * 64))
    assert run(monkeypatch, "apply", str(manifest)) == 1
    assert "is a placeholder of zeros" in capsys.readouterr().err
    assert server.applied == []


def test_diff_shows_what_would_change_and_whether_a_new_cluster_starts(
    rollout: Rollout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rollout.apply(release())
    monkeypatch.setattr(sys, "stdin", io.StringIO(rendered(SECOND)))
    assert run(monkeypatch, "diff", "-") == 8
    printed = capsys.readouterr()
    assert f"image: registry.example.com/sentiment@sha256:{SECOND}" in printed.out
    assert "a new cluster is started beside the old one" in printed.err
    monkeypatch.setattr(sys, "stdin", io.StringIO(rendered()))
    assert run(monkeypatch, "diff", "-") == 0
    assert capsys.readouterr().out == ""


def test_status_distinguishes_a_release_that_serves_from_one_that_hangs(
    api: Api,
    rollout: Rollout,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rollout.apply(release())
    assert run(monkeypatch, "status", NAME, "-n", NAMESPACE) == 0
    printed = capsys.readouterr().out
    assert "revision 1" in printed
    assert "cluster sentiment-1 serves: sentiment RUNNING, 2 endpoints" in printed
    for document in release(SECOND, image=MISSING_IMAGE).documents:
        api.apply(document)
    assert run(monkeypatch, "status", NAME, "-n", NAMESPACE) == 5
    assert run(monkeypatch, "status", NAME, "-n", NAMESPACE) == 4
    assert "ImagePullBackOff" in capsys.readouterr().err


def test_a_missing_api_server_has_an_exit_code_of_its_own(
    server: ApiServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server.stop()
    assert run(monkeypatch, "status", NAME, "-n", NAMESPACE) == 6
    assert "error: the API server does not answer" in capsys.readouterr().err


def test_a_missing_extra_says_how_to_install_it(
    server: ApiServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "kubernetes", None)
    monkeypatch.delitem(sys.modules, "serve_app.rollout.cluster")
    assert run(monkeypatch, "status", NAME, "-n", NAMESPACE) == 1
    assert f"hint: {install('kuberay')}" in capsys.readouterr().err
