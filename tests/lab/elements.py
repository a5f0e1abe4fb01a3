"""Parts of the page, as somebody would find them."""

import os
import subprocess

import pytest
from playwright.sync_api import Locator, Page


def texts(page: Page) -> Locator:
    return page.get_by_label("One text per line")


def rows(page: Page) -> Locator:
    return page.locator("#rows tr")


def words(page: Page) -> Locator:
    return page.get_by_role("list", name="Words").get_by_role("listitem")


def drop(page: Page, name: str, content: str) -> None:
    transfer = page.evaluate_handle(
        """([name, content]) => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([content], name));
            return transfer;
        }""",
        [name, content],
    )
    for event in ("dragenter", "dragover", "drop"):
        page.dispatch_event("body", event, {"dataTransfer": transfer})


def run(command: str, **variables: str) -> str:
    """Run a command as somebody would in a shell, and return what it prints."""
    done = subprocess.run(
        ["sh", "-c", command], capture_output=True, text=True, check=False,
        env=os.environ | variables,
    )  # fmt: skip
    if done.returncode == 127:
        pytest.skip(done.stderr)
    assert done.returncode == 0, done.stderr
    return done.stdout
