"""The lab over HTTP, without a Ray that runs."""

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from serve_app.api.request_record import RecentFigures, RecentRequests
from serve_app.ray_serve.lab import PAGE, FiguresCache, create_lab

FILES = sorted(path.name for path in PAGE.iterdir())


def client(gateways: Sequence[RecentFigures]) -> httpx.AsyncClient:
    async def ask() -> Sequence[RecentFigures]:
        return gateways

    app = Starlette(routes=[Mount("/lab", create_lab(FiguresCache(ask)))])
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://lab")


@pytest.fixture
def lab() -> httpx.AsyncClient:
    return client([RecentRequests().figures(classifiers=2)])


@pytest.mark.parametrize(
    "path", ["/lab/", *(f"/lab/{name}" for name in FILES), "/lab/live", "/lab/x"]
)
async def test_every_answer_is_protected(lab: httpx.AsyncClient, path: str) -> None:
    headers = (await lab.get(path)).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


async def test_a_browser_asks_whether_a_file_is_still_the_same(lab: httpx.AsyncClient) -> None:
    first = await lab.get("/lab/lab.js")
    assert first.headers["cache-control"] == "no-cache"
    again = await lab.get("/lab/lab.js", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("name", FILES)
async def test_every_file_names_only_files_that_are_there_and_no_other_origin(
    lab: httpx.AsyncClient, name: str
) -> None:
    content = (await lab.get(f"/lab/{name}")).text
    named = set(re.findall(r"""["'](/lab/[\w.-]+)["']""", content)) - {"/lab/live"}
    for path in named:
        assert (await lab.get(path)).status_code == 200, path
    assert set(re.findall(r"https?://[^\s\"']+", content)) <= {"http://www.w3.org/2000/svg"}


def test_the_page_has_no_code_or_style_of_its_own() -> None:
    markup = (PAGE / "index.html").read_text()
    assert re.findall(r"<style|<script(?![^>]*src=)|\son\w+=|\sstyle=|javascript:", markup) == []


async def test_live_figures_are_fresh(lab: httpx.AsyncClient) -> None:
    answer = await lab.get("/lab/live")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json() == {
        "window_s": 10,
        "requests_per_s": 0,
        "texts_per_s": 0,
        "refused_per_s": 0,
        "p50_ms": None,
        "p99_ms": None,
        "hit_ratio": None,
        "replicas": {"gateway": 1, "classifier": 2},
    }


async def test_figures_that_nobody_tells_are_a_problem() -> None:
    answer = await client([]).get("/lab/live")
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["retry-after"] == "5"
    assert answer.json()["title"] == "Figures unavailable"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/lab/nothing", 404),
        ("GET", "/lab/%2e%2e/app.py", 404),
        ("GET", "/lab//etc/passwd", 404),
        ("POST", "/lab/live", 405),
        ("POST", "/lab/lab.js", 405),
    ],
)
async def test_nothing_else_is_there(
    lab: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    answer = await lab.request(method, path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


def test_the_pages_are_part_of_the_package() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    data = project["tool"]["setuptools"]["package-data"]["serve_app"]
    assert {"lab/page/*", "api/docs/*"} <= set(data)
    assert all((PAGE / name).is_file() for name in FILES), "the pattern takes files, not folders"
