"""pip's settings on this machine, which the build uses and the image must not hold."""

import ast
import re
import subprocess
import sys
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

_SETTING: Final = re.compile(r"^(?:global|install|:env:)\.([\w-]+)=(.*)$")
_SOURCES: Final = ("index-url", "extra-index-url", "find-links")


class PipSettings(NamedTuple):
    """pip's settings as a file for one build.

    Attributes:
        file: A pip.conf, to be given to the build as a secret.
        needs: Files and directories of this machine that the settings name.
        sources: Where packages come from: URLs and directories, maybe with credentials.
    """

    file: Path
    needs: list[Path]
    sources: list[str]


def pip_settings(directory: Path) -> PipSettings:
    """Collect pip's settings from its files and from the environment, which goes first.

    Args:
        directory: Where to write the file.
    """
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    )
    found = [match for line in listed.stdout.splitlines() if (match := _SETTING.match(line))]
    settings = {
        match[1]: ast.literal_eval(match[2]).split()
        for match in sorted(found, key=lambda match: match[0].startswith(":env:"))
    }
    file = directory / "pip.conf"
    lines = [f"{name} = {' '.join(words)}\n" for name, words in settings.items()]
    file.touch(mode=0o600)
    file.write_text("".join(["[global]\n", *lines]))
    words = [word for words in settings.values() for word in words]
    return PipSettings(
        file=file,
        needs=sorted({path for word in words if (path := _local(word)) and path.exists()}),
        sources=[word for name in _SOURCES for word in settings.get(name, ())],
    )


def _local(word: str) -> Path | None:
    if word.startswith("file://"):
        # An index refers to its files from beside its pages.
        return Path(urlsplit(word).path).parent
    return Path(word) if word.startswith("/") else None
