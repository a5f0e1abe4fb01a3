import subprocess
import sys
from importlib.util import find_spec

import pytest

MODEL_PACKAGES = {"torch", "transformers", "onnx", "huggingface_hub", "serve_app.export"}
TOOLS = {"serve_app.cli", "serve_app.batch", "serve_app.rollout", "httpx2", "pandas", "typer"}


@pytest.mark.parametrize(
    ("module", "others"),
    [
        ("serve_app.ray_serve.gateway", {"onnxruntime", "tokenizers", "serve_app.engine"}),
        ("serve_app.ray_serve.classifier", {"redis", "serve_app.api", "serve_app.gateway"}),
    ],
)
def test_a_replica_imports_nothing_that_it_does_not_need(module: str, others: set[str]) -> None:
    listing = (
        "import sys, ray.serve\n"
        "rays = set(sys.modules)\n"
        f"import {module}\n"
        "print(*set(sys.modules) - rays)"
    )
    output = subprocess.run(
        [sys.executable, "-c", listing], check=True, capture_output=True, text=True
    ).stdout
    imported = output.split()
    assert module in imported
    unneeded = MODEL_PACKAGES | TOOLS | others
    assert all(find_spec(each) for each in unneeded if each.startswith("serve_app"))
    assert not [
        name for name in imported if any(f"{name}.".startswith(f"{each}.") for each in unneeded)
    ]
