"""The examples of clients in the documentation run."""

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.unit.client.conftest import Server

ROOT = Path(__file__).parents[3]
README, CLIENTS, CLI = (
    (ROOT / name).read_text() for name in ("README.md", "docs/clients.md", "docs/cli.md")
)
SNIPPETS = dict.fromkeys(re.findall(r"```python\n(.*?)```", README + CLIENTS, re.S))
ADDRESS = "http://127.0.0.1:8000"


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_python_snippets_run(server: "Callable[..., Server]", snippet: str) -> None:
    assert ADDRESS in snippet
    code = snippet.replace(ADDRESS, server().url)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert re.search("POSITIVE|NEGATIVE", done.stdout)


def test_shell_commands_run(server: "Callable[..., Server]", tmp_path: Path) -> None:
    text, review = "the film was good", "text\nthe film was good\n"
    (tmp_path / "reviews.csv").write_text(review)
    (tmp_path / "reviews.jsonl").write_text(f'{{"body": "{text}"}}\n')
    [block] = re.findall(r"```\n(sentiment predict.*?)```", CLI, re.S)
    url = server().url
    for line in block.splitlines():
        command = shlex.split(line.partition(" | ")[0].replace(" --local", ""))
        assert command.pop(0) == "sentiment"
        subprocess.run(
            [sys.executable, "-m", "serve_app.cli", *command, "--url", url],
            cwd=tmp_path, check=True, timeout=60, capture_output=True,
        )  # fmt: skip
    assert (tmp_path / "scored.csv").read_text().startswith("text,predicted_label,")


@pytest.mark.parametrize("document", [README, CLIENTS], ids=["README", "clients"])
def test_the_first_request_runs(server: "Callable[..., Server]", document: str) -> None:
    if not shutil.which("curl"):
        pytest.skip("needs curl")
    [line] = re.findall(r"```\n(curl .*?)\n```", document)
    command = shlex.split(line.replace(ADDRESS, server().url))
    done = subprocess.run(
        [*command, "--no-progress-meter"], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.startswith('{"predictions":[[{"label":')
