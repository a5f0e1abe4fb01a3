"""Files and their rows: what the command line and the lab read alike."""

import gzip
import json
from pathlib import Path
from typing import Any, Final, NamedTuple


class Case(NamedTuple):
    """A file, and its texts, or `problem`s in their place, or why it is refused."""

    case: str
    name: str
    content: bytes
    rows: list[str | dict[str, str]] | None
    refused: str


def _case(stated: dict[str, Any]) -> Case:
    if "hex" in stated:
        content = bytes.fromhex(stated["hex"])
    else:
        content = stated["text"].encode(stated.get("encoding", "utf-8"))
    content = gzip.compress(content) if stated.get("gzip") else content
    return Case(
        stated["case"], stated["name"], content, stated.get("rows"), stated.get("refused", "")
    )


CASES: Final = [
    _case(stated) for stated in json.loads(Path(__file__).with_name("cases.json").read_text())
]
