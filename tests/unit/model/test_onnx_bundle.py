from pathlib import Path

import pytest

from serve_app.errors import ModelUnusable
from serve_app.model.onnx_bundle import REPORT, cache_directory, find_bundle
from serve_app.model.store import ModelIdentity


@pytest.mark.parametrize("content", ["{}", "{", "[]"])
def test_a_broken_report_says_what_to_remove(
    model: ModelIdentity, cache_dir: Path, content: str
) -> None:
    directory = cache_directory(model)
    directory.mkdir(parents=True)
    (directory / REPORT).write_text(content)
    with pytest.raises(ModelUnusable, match=REPORT) as refused:
        find_bundle(model)
    assert refused.value.hint == f"remove {directory} and run `sentiment model prepare`"
