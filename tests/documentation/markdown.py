"""What the documents hold: fenced blocks, code in lines, links, and anchors of headings."""

import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    {*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "kuberay").rglob("*.md")}
)

_PARSER = MarkdownIt("commonmark").enable("table")


class Fence(NamedTuple):
    """A fenced block: its language, empty where none is named, and its content."""

    language: str
    content: str


def named(document: Path) -> str:
    return str(document.relative_to(ROOT))


def fences(document: Path) -> list[Fence]:
    return [
        Fence(token.info.strip(), token.content)
        for token in _PARSER.parse(document.read_text())
        if token.type == "fence"
    ]


def commands(document: Path) -> list[str]:
    """Return the commands of the blocks that hold some, without comments and prompts."""
    found = []
    for fence in fences(document):
        lines = fence.content.replace("\\\n", "").splitlines()
        if fence.language == "console":
            lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
        elif fence.language not in {"", "sh"}:
            continue
        found += [re.sub(r"\s{2,}# .*", "", line).strip() for line in lines if line]
    return found


def code(document: Path) -> list[str]:
    """Return what stands between backticks in text."""
    inline = _inline(document)
    return [token.content.replace("\n", " ") for token in inline if token.type == "code_inline"]


def links(document: Path) -> list[str]:
    """Return where links and pictures lead."""
    found = [token.attrGet("href") or token.attrGet("src") for token in _inline(document)]
    return [str(link) for link in found if link is not None]


def anchors(document: Path) -> set[str]:
    """Return the anchors that GitHub gives the headings."""
    tokens = _PARSER.parse(document.read_text())
    seen: Counter[str] = Counter()
    found = set()
    for opening, title in pairwise(tokens):
        if opening.type == "heading_open":
            text = "".join(each.content for each in title.children or ())
            slug = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
            found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
            seen[slug] += 1
    return found


def _inline(document: Path) -> Iterator[Token]:
    for token in _PARSER.parse(document.read_text()):
        yield from token.children or ()
