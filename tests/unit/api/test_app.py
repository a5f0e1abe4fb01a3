import subprocess
import sys


def test_the_application_needs_neither_ray_nor_the_other_stages() -> None:
    listing = "import sys, serve_app.api.app; print(*sys.modules)"
    output = subprocess.run(
        [sys.executable, "-c", listing], check=True, capture_output=True, text=True
    ).stdout
    imported = output.split()
    assert "serve_app.api.app" in imported
    stages = {
        "serve_app.gateway.gateway",
        *(f"serve_app.{name}" for name in ("cache", "dispatch", "classifier", "engine")),
    }
    assert not {"ray", "torch", *stages} & set(imported)
