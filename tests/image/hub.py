"""A model hub with one model, for builds that fetch theirs."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

MODEL_ID: Final = "somebody/sentiment"
COMMIT: Final = "0123456789abcdef0123456789abcdef01234567"


@contextmanager
def hub(directory: Path) -> Iterator[str]:
    """Serve a model directory as a hub does, and yield the hub's address.

    https://huggingface.co/docs/hub/api and what `snapshot_download` asks for.
    """
    files = {path.name: path for path in directory.iterdir() if path.is_file()}

    class Answer(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def log_message(self, format: str, *arguments: object) -> None:
            """Stay quiet."""

        def _answer(self, *, with_body: bool) -> None:
            path = self.path.partition("?")[0]
            name = path.rpartition("/")[2]
            if path.startswith(f"/api/models/{MODEL_ID}/tree/"):
                tree = [
                    {"type": "file", "path": name, "size": file.stat().st_size, "oid": name}
                    for name, file in files.items()
                ]
                self._send(json.dumps(tree).encode(), with_body)
            elif path.startswith(f"/api/models/{MODEL_ID}"):
                known = {
                    "id": MODEL_ID,
                    "sha": COMMIT,
                    "siblings": [{"rfilename": name} for name in files],
                }
                self._send(json.dumps(known).encode(), with_body)
            elif path.startswith(f"/{MODEL_ID}/resolve/{COMMIT}/") and name in files:
                self._send(files[name].read_bytes(), with_body)
            else:
                self.send_error(HTTPStatus.NOT_FOUND)

        def _send(self, content: bytes, with_body: bool) -> None:
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("ETag", f'"{sha256(content).hexdigest()}"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.end_headers()
            if with_body:
                self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
