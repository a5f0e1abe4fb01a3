"""The picture of the lab in README, over the real service: `python -m tests.lab.picture`."""

import shutil
import tempfile
from pathlib import Path
from typing import Final

from playwright.sync_api import sync_playwright

from loadtest.configs import configured
from loadtest.service import Service, eventually
from tests.lab.elements import rows

PATH: Final = Path(__file__).parents[2] / "docs" / "lab.png"
SHOWN: Final = "I wanted to like it, but I could not."


def main() -> None:
    """Serve the embedded model, and draw the page with a sample."""
    with tempfile.TemporaryDirectory() as directory, sync_playwright() as playwright:
        config = configured(Path(directory), {"model": "embedded"}, with_lab=True)
        with Service(config) as service:
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox"]
            )
            page = browser.new_page(viewport={"width": 1280, "height": 900}, color_scheme="light")

            def answers() -> bool:
                found = page.goto(f"{service.url}/lab")
                return found is not None and found.ok

            eventually(answers, "the lab answers", 60)
            page.get_by_role("button", name="30 reviews").click()
            rows(page).nth(29).get_by_text("model").wait_for()
            page.get_by_role("button", name=SHOWN).click()
            page.get_by_role("button", name="Show the words").click()
            page.get_by_text("pulls NEGATIVE up most").wait_for()
            page.mouse.wheel(0, -5000)
            # The strip is of the last full seconds.
            page.wait_for_timeout(4000)
            page.screenshot(path=PATH)
            browser.close()


if __name__ == "__main__":
    main()
