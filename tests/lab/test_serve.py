"""The lab beside the service, on a real Ray Serve and in a real browser."""

import time
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, expect

from loadtest.configs import configured
from loadtest.service import Service

pytestmark = [pytest.mark.serve, pytest.mark.slow]


def test_the_page_and_the_service_are_one_origin(
    tmp_path: Path, model_directory: Path, warm_cache: Path, browser: Browser
) -> None:
    config = configured(tmp_path, {"model": str(model_directory)}, with_lab=True)
    with Service(config) as service:
        while httpx.get(f"{service.url}/lab", timeout=60).status_code == 404:
            time.sleep(0.2)
        assert (
            httpx.get(f"{service.url}/lab/lab.js", timeout=60).headers["x-frame-options"] == "DENY"
        )
        assert httpx.get(f"{service.url}/project/health", timeout=60).json() == {
            "status": "healthy"
        }
        page = browser.new_page()
        page.goto(f"{service.url}/lab")
        page.get_by_label("One text per line").fill("the film is good\nthe food was awful")
        expect(page.get_by_role("status").first).to_have_text("2 texts scored", timeout=30_000)
        strip = page.get_by_role("region", name="The whole service, last seconds")
        expect(strip).to_contain_text("Gateways1", timeout=30_000)
        expect(strip).to_contain_text("Classifiers1")
        expect(strip).to_contain_text("Requests/s0.1")
        page.close()
    assert f"the lab, to try it in a browser: {service.url}/lab\n" in service.printed
