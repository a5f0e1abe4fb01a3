"""The examples of clients in the documentation run."""

import re
import shlex
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Error, sync_playwright
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Route

from tests.contract.server import serving

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


def snippet(language: str, url: str) -> str:
    """Return the example of a language, with another address."""
    [code] = re.findall(rf"```{language}\n(.*?)```", CLIENTS, re.S)
    assert ADDRESS in code
    return str(code).replace(ADDRESS, url)


def run(*command: str | Path) -> str:
    if not shutil.which(command[0]):
        pytest.skip(f"needs {command[0]}")
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout


def test_the_javascript_snippet_runs_in_node(server: "Callable[..., Server]") -> None:
    code = snippet("javascript", server().url)
    printed = run("node", "--input-type=module", "--eval", code)
    assert re.fullmatch(r"((POSITIVE|NEGATIVE) 0\.\d+\n){2}", printed)


@pytest.mark.parametrize(
    ("language", "file", "command"),
    [("go", "predict.go", ["go", "run"]), ("java", "Predict.java", ["java"])],
)
def test_other_snippets_run(
    server: "Callable[..., Server]", tmp_path: Path, language: str, file: str, command: list[str]
) -> None:
    path = tmp_path / file
    path.write_text(snippet(language, server().url))
    assert len(re.findall("POSITIVE|NEGATIVE", run(*command, path))) >= 2


def test_the_javascript_snippet_runs_in_a_page_of_an_origin_that_is_allowed(
    server: "Callable[..., Server]",
) -> None:
    if not (chromium := shutil.which("chromium")):
        pytest.skip("needs Chromium: apt install chromium")
    page_of_another_origin = Starlette(
        routes=[Route("/", lambda _: HTMLResponse("<!doctype html><title>page</title>"))]
    )
    with serving(page_of_another_origin) as origin, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(origin)
        printed: dict[str, list[str]] = defaultdict(list)
        page.on("console", lambda message: printed[message.type].append(message.text))
        with pytest.raises(Error, match="Failed to fetch"):
            page.evaluate(f"async () => {{ {snippet('javascript', server().url)} }}")
        allowing = server(cors_origins=(origin,)).url
        page.evaluate(f"async () => {{ {snippet('javascript', allowing)} }}")
        labels = [line.split()[0] for line in printed["log"]]
        assert len(labels) == 2
        assert set(labels) <= {"POSITIVE", "NEGATIVE"}
        assert "Access-Control-Allow-Origin" in "".join(printed["error"])
        browser.close()


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
