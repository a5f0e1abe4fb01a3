"""Writes what the shell sessions of the documents print: `make sessions`.

A session is a block of the language `console`. Lines that begin with `$ ` are commands of a reader
at a terminal; the lines between them are what they print, and are written here.
"""

import os
import pty
import re
import subprocess
import sys
import tempfile
import termios
from contextlib import suppress
from pathlib import Path
from typing import Final

from loadtest.service import started
from serve_app.ray_serve.config import read
from tests.documentation.markdown import DOCUMENTS, ROOT

SESSION: Final = re.compile(r"(?<=```console\n).*?(?=^```)", re.DOTALL | re.MULTILINE)
PROMPT: Final = "$ "
COLUMNS: Final = 100
TIMEOUT_S: Final = 120.0
FILES: Final = {
    "reviews.csv": "id,text\n1,A gripping story.\n2,I want my money back.\n3,It is not bad.\n"
}


def with_output(document: str, url: str, directory: Path) -> str:
    """Return a document with what its sessions print today.

    Args:
        document: Its text.
        url: A service.
        directory: Where the sessions run; gets the files that they read.
    """
    for name, content in FILES.items():
        (directory / name).write_text(content)

    def played(session: re.Match[str]) -> str:
        commands = [line for line in session[0].splitlines() if line.startswith(PROMPT)]
        return "".join(
            f"{line}\n{output(line.removeprefix(PROMPT), url, directory)}" for line in commands
        )

    return SESSION.sub(played, document)


def stable(document: str) -> list[str]:
    """Return a document's sessions without what differs between processors: the numbers."""
    return [re.sub(r"\d+", "#", session) for session in SESSION.findall(document)]


def output(command: str, url: str, directory: Path) -> str:
    """Return what a command prints to somebody who sits at a terminal, then its errors."""
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "SENTIMENT_URL": url,
        "NO_PROXY": "127.0.0.1",
        "NO_COLOR": "1",
    }
    shown, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, COLUMNS))
    with subprocess.Popen(
        command, shell=True, cwd=directory, env=environment,
        stdin=terminal, stdout=terminal, stderr=subprocess.PIPE, text=True,
    ) as running:  # fmt: skip
        os.close(terminal)
        printed = _read(shown)
        _, errors = running.communicate(timeout=TIMEOUT_S)
    return "".join(f"{line.rstrip()}\n" for line in (printed + errors).splitlines())


def _read(shown: int) -> str:
    """Read a terminal until its last program has left it, which Linux tells by EIO."""
    read_bytes = b""
    with suppress(OSError):
        while more := os.read(shown, 65536):
            read_bytes += more
    os.close(shown)
    return read_bytes.decode().replace("\r\n", "\n")


def main() -> None:
    """Play every session against a service of the development configuration."""
    with tempfile.TemporaryDirectory() as directory:
        config = read(ROOT / "configs" / "dev.yaml")
        with started(config, None, Path(directory)) as service:
            for document in DOCUMENTS:
                before = document.read_text()
                # A directory of its own: a file that is there already would be refused.
                with tempfile.TemporaryDirectory() as fresh:
                    after = with_output(before, service.url, Path(fresh))
                if after != before:
                    document.write_text(after)


if __name__ == "__main__":
    main()
