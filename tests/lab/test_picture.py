"""The page as it looks, for a person to look at: pictures in `results/`."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread
from playwright.sync_api import expect

from tests.lab.conftest import Open
from tests.lab.elements import rows, texts

RESULTS = Path(__file__).parents[2] / "results"
PASTED = [
    "a wonderful film",
    "bad food and an awful waiter",
    "good, but not wonderful",
    "a film",
    "awful",
]


@pytest.mark.parametrize("size", [(1280, 900), (390, 844)], ids=["desktop", "phone"])
@pytest.mark.parametrize(("scheme", "bright"), [("light", True), ("dark", False)])
def test_the_page_is_drawn_in_the_colours_that_a_reader_prefers(
    open_lab: Open, url: str, scheme: str, bright: bool, size: tuple[int, int]
) -> None:
    width, height = size
    page = open_lab(url, color_scheme=scheme, viewport={"width": width, "height": height})
    texts(page).fill("\n".join(PASTED))
    expect(rows(page)).to_have_count(len(PASTED))
    expect(rows(page).last).to_contain_text("model" if width > 600 else "NEGATIVE")
    page.get_by_role("button", name="Copy as curl").click()
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"lab-{scheme}-{width}.png"
    page.screenshot(path=path, full_page=True)
    pixels = imread(path)[..., :3]
    assert (float(np.median(pixels)) > 0.5) == bright
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 100
