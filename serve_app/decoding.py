"""Lines of text out of the bytes of files, whatever reads them: predict, evaluate, training.

tests/unit/files/cases.json has the rules by example; the lab's rows.js follows them too.
"""

import codecs
import gzip
import io
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

from serve_app.errors import StartupError

# The bytes that decide what a file is, where so many come at once.
HEAD_BYTES: Final = 1 << 20
PARQUET: Final = b"PAR1"
NOT_UTF8: Final = "the text is not valid UTF-8"
CSV_QUOTES: Final = "a field is quoted as in CSV, but TSV has no quotes"

_GZIP: Final = b"\x1f\x8b"
_UNPACK: Final = "unpack it and give the file that is in it"
_SHEET: Final = "save the sheet as CSV (UTF-8) and give that, or unpack the archive"
_OTHER_FILES: Final = {
    b"PK\x03\x04": ("a zip archive or an .xlsx workbook", _SHEET),
    b"\xd0\xcf\x11\xe0": ("an .xls workbook", _SHEET),
    b"BZh91AY": ("a bzip2 file", _UNPACK),
    b"\xfd7zXZ": ("an xz file", _UNPACK),
    b"(\xb5/\xfd": ("a zstd file", _UNPACK),
}
_CSV_QUOTED: Final = re.compile(r'(?:^|(?<=\t))"((?:[^"]|"")*+)"(?=\t|$)')


def unpacked(stream: BinaryIO) -> tuple[Any, bytes]:
    """Return a stream with `peek`, unpacked where it is gzip, and the bytes at its start.

    Raises `StartupError` if the gzip is broken.
    """
    peekable: Any = stream if hasattr(stream, "peek") else _buffered(stream)
    if peekable.peek(2).startswith(_GZIP):
        peekable = _buffered(gzip.GzipFile(fileobj=peekable))
    try:
        return peekable, peekable.peek(HEAD_BYTES)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise _broken_gzip(error) from None


def _buffered(stream: Any) -> BinaryIO:
    return io.BufferedReader(stream, HEAD_BYTES)


def text_lines(stream: BinaryIO, newline: str = "\n") -> Iterator[str]:
    """Return the lines of a file in UTF-8 or UTF-16, as it is or in gzip.

    Bytes beyond the first mebibyte that are not UTF-8 become surrogate escapes. Raises
    `StartupError` if it is not such a file.
    """
    stream, head = unpacked(stream)
    encoding, errors = _encoding(head)
    return _lines(io.TextIOWrapper(stream, encoding, errors, newline), stream)


def _lines(lines: io.TextIOWrapper, stream: BinaryIO) -> Iterator[str]:
    try:
        yield from lines
    except UnicodeDecodeError:
        raise StartupError("the input ends within a character", "is it whole?") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise _broken_gzip(error) from None
    finally:
        # The caller closes the stream.
        if not stream.closed:
            lines.detach()


def _broken_gzip(error: Exception) -> StartupError:
    return StartupError(f"the input is a broken gzip file: {error}", "is it whole?")


def _encoding(head: bytes) -> tuple[str, str]:
    for magic, (kind, hint) in _OTHER_FILES.items():
        if head.startswith(magic):
            raise StartupError(f"the input is {kind}, which is not read", hint)
    if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        raise StartupError("the input is UTF-32, which is not read", "convert it to UTF-8")
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16", "surrogatepass"
    # Without a mark, an ASCII character at the start tells the order of the bytes.
    if re.match(rb"\0[\t-~]", head):
        return "utf-16-be", "surrogatepass"
    if re.match(rb"[\t-~]\0", head):
        return "utf-16-le", "surrogatepass"
    if b"\0" in head:
        line = head[: head.index(b"\0")].count(b"\n") + 1
        raise StartupError(f"the input is not text: line {line} has a NUL byte")
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError as error:
        line = head[: error.start].count(b"\n") + 1
        raise StartupError(
            f"the input is not UTF-8: line {line} has the byte 0x{head[error.start]:02X}",
            "is it Latin-1? convert it: iconv -f windows-1252 -t utf-8 FILE > NEW",
        ) from None
    return "utf-8-sig", "surrogateescape"


def is_blank(line: str) -> bool:
    """Return whether a line has nothing but spaces; it is not a row then, in any format."""
    return not line.strip(" \r\n")


def without_end(line: str) -> str:
    """Return a line without the line feed, and the carriage return, that end it."""
    return line.removesuffix("\n").removesuffix("\r")


def has_csv_quotes(line: str) -> bool:
    """Return whether a line of TSV has a field that only CSV would write."""
    fields = _CSV_QUOTED.findall(line) if '"' in line else ()
    return any('""' in field or "\t" in field for field in fields)


def labelled_lines(path: Path) -> Iterator[tuple[int, str, str]]:
    """Yield the number, the text and the label of each row of a TSV file with these columns.

    Raises `StartupError` if the file is missing or of another form.
    """
    needs = "its first line names the columns, divided by tabs: text and label"
    try:
        with path.open("rb", buffering=HEAD_BYTES) as stream:
            lines = text_lines(stream)
            header = without_end(next(lines, "")).split("\t")
            if missing := [name for name in ("text", "label") if name not in header]:
                raise StartupError(f"there is no column {', '.join(map(repr, missing))}", needs)
            for number, line in enumerate(lines, start=2):
                if is_blank(line):
                    continue
                fields = without_end(line).split("\t")
                row = dict(zip(header, fields, strict=False))
                problem = ""
                if len(fields) != len(header):
                    problem = f"it has {len(fields)} fields, the header {len(header)}"
                elif has_csv_quotes(without_end(line)):
                    problem = CSV_QUOTES
                elif not row["text"].isascii() and not is_utf8(row["text"]):
                    problem = NOT_UTF8
                if problem:
                    raise StartupError(f"line {number}: {problem}", needs)
                yield number, row["text"], row["label"]
    except OSError as error:
        raise StartupError(f"cannot read {path}: {error.strerror}") from None
    except StartupError as error:
        raise StartupError(f"cannot read {path}: {error.problem}", error.hint) from None


def is_utf8(text: str) -> bool:
    """Return whether a text can be encoded; one with lone surrogates cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
