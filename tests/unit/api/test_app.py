import subprocess
import sys


def test_the_application_needs_neither_ray_nor_an_engine() -> None:
    listing = "import sys, serve_app.api.app; print(*sys.modules)"
    output = subprocess.run(
        [sys.executable, "-c", listing], check=True, capture_output=True, text=True
    ).stdout
    imported = output.split()
    assert "serve_app.api.app" in imported
    assert not {"ray", "torch", "onnxruntime", "serve_app.engine"} & set(imported)
