"""Ray's own `serve run` of a configuration file."""

import os
import sys
from contextlib import suppress
from pathlib import Path

import httpx

from loadtest.service import Server
from serve_app.ray_serve.config import read


class ServeRun(Server):
    """`serve run`, which answers at `url` while entered; `variables` are those of the shell."""

    def __init__(self, config: Path, **variables: str) -> None:
        self.url = f"http://127.0.0.1:{read(config)['http_options']['port']}"
        # Where SIGINT is ignored, as in the background job of a shell, `serve run` inherits that.
        command = ["env", "--default-signal=INT", str(Path(sys.executable).parent / "serve")]
        command += ["run", str(config)]
        super().__init__(command, os.environ | variables, self._is_ready, quiet=True)

    def _is_ready(self, _: str) -> bool:
        with suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/project/ready", timeout=10).is_success
        return False
