"""The forms of files: plain lines, TSV, CSV and JSON lines, all in UTF-8.

Bytes that are not UTF-8 pass through as Python's surrogate escapes (PEP 383), so that a broken
row is found and marked, and CSV and TSV give it back as it was.
"""

import csv
import io
import json
from collections.abc import Callable, Iterable
from enum import StrEnum
from pathlib import PurePath
from typing import Any, Final


class Format(StrEnum):
    """How rows are held; plain lines of text are read, but only a person gets them."""

    TEXT = "text"
    TSV = "tsv"
    CSV = "csv"
    JSONL = "jsonl"


TABLES: Final = frozenset({Format.TSV, Format.CSV})

_BY_SUFFIX: Final = {
    ".tsv": Format.TSV,
    ".csv": Format.CSV,
    ".jsonl": Format.JSONL,
    ".ndjson": Format.JSONL,
}

# Other names say nothing, or of something that is no text.
TEXT_SUFFIXES: Final = frozenset({"", ".txt"})


def format_of(path: PurePath, otherwise: Format) -> Format:
    """Return the format that a file's name stands for."""
    return _BY_SUFFIX.get(path.suffix.lower(), otherwise)


def header_of(form: Format, columns: Iterable[str]) -> bytes:
    """Return the line above the rows, if the format has one."""
    names = list(columns)
    return _ENCODERS[form](dict(zip(names, names, strict=True))) if form in TABLES else b""


def encode(form: Format, fields: dict[str, Any]) -> bytes:
    """Return a row as the format writes it, with the end of its line."""
    return _ENCODERS[form](fields)


def _tsv(fields: dict[str, Any]) -> bytes:
    """TSV knows no quotes, so that what would end a field becomes a space."""
    cells = (_cell(value).translate(_TSV_BREAKS) for value in fields.values())
    return _bytes("\t".join(cells) + "\n")


def _csv(fields: dict[str, Any]) -> bytes:
    """CSV as in RFC 4180, with CRLF."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\r\n").writerow(map(_cell, fields.values()))
    return _bytes(line.getvalue())


def _jsonl(fields: dict[str, Any]) -> bytes:
    line = json.dumps(fields, ensure_ascii=False) + "\n"
    try:
        return line.encode()
    except UnicodeEncodeError:
        return (json.dumps(fields) + "\n").encode()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _bytes(line: str) -> bytes:
    try:
        return line.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        # A surrogate that comes from an escape in JSON stands for no byte.
        return line.encode(errors="replace")


_TSV_BREAKS: Final = str.maketrans("\t\r\n", "   ")
_ENCODERS: Final[dict[Format, Callable[[dict[str, Any]], bytes]]] = {
    Format.TSV: _tsv,
    Format.CSV: _csv,
    Format.JSONL: _jsonl,
}
