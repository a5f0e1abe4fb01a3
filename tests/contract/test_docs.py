import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.contract.server import hosted, serving

if TYPE_CHECKING:
    from tests.contract.conftest import Serve, ServiceFactory

DOCS = "/project/docs"


async def test_docs_are_a_page_over_the_document(serve: "Serve") -> None:
    answer = await serve().get(DOCS)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert "/project/openapi.json" in answer.text


async def test_the_page_needs_nothing_from_elsewhere_and_may_load_nothing(serve: "Serve") -> None:
    answer = await serve().get(DOCS)
    assert "//" not in answer.text
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "frame-ancestors 'none'" in policy


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("start.js", "text/javascript"),
        ("swagger-ui-bundle.js", "text/javascript"),
        ("swagger-ui.css", "text/css"),
        ("favicon-32x32.png", "image/png"),
    ],
)
async def test_its_parts_are_served_from_here(serve: "Serve", name: str, media_type: str) -> None:
    answer = await serve().get(f"{DOCS}/{name}")
    assert answer.status_code == 200
    assert answer.headers["content-type"].partition(";")[0] == media_type
    assert "max-age" in answer.headers["cache-control"]


@pytest.mark.parametrize(
    "path", [f"{DOCS}/main.py", f"{DOCS}/../main.py", f"{DOCS}/%2e%2e/main.py"]
)
async def test_no_other_file_is(serve: "Serve", path: str) -> None:
    assert (await serve().get(f"http://service{path}")).status_code == 404


async def test_every_answer_forbids_to_guess_its_type(serve: "Serve") -> None:
    client = serve()
    for path in ("/project/health", "/project/nothing", DOCS, f"{DOCS}/swagger-ui.css"):
        assert (await client.get(path)).headers["x-content-type-options"] == "nosniff"
    predicted = await client.post("/project/predict", json={"text": ["a"]})
    assert predicted.headers["x-content-type-options"] == "nosniff"


def test_a_browser_shows_the_operations_under_the_policy(
    service_with: "ServiceFactory", tmp_path: Path
) -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs Debian's package chromium")
    with serving(hosted(service_with())) as url:
        shown = subprocess.run(
            [
                *(
                    chromium,
                    "--headless",
                    "--no-sandbox",
                    "--disable-gpu",
                    "--disable-dev-shm-usage",
                ),
                *("--enable-logging=stderr", "--virtual-time-budget=10000"),
                *(f"--user-data-dir={tmp_path}", "--dump-dom", f"{url}{DOCS}"),
            ],
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert 'id="operations-default-predict"' in shown.stdout
    assert "Content Security Policy" not in shown.stderr
