import unicodedata

import pytest

from serve_app.console import clean, fail, say, show
from serve_app.errors import StartupError

ALL = [chr(code) for code in range(0x110000)]
JOINERS = {"\u200c", "\u200d"}


def test_nothing_that_commands_a_terminal_or_turns_a_line_is_left() -> None:
    shown = clean("".join(ALL))
    left = {each for each in shown if unicodedata.category(each) in {"Cc", "Cf", "Cs", "Zl", "Zp"}}
    assert left == JOINERS


def test_what_can_be_read_stays_as_it_is() -> None:
    text = "naïve ☕ \u0645\u06cc\u200c\u062e 👩\u200d🚀 日本語 \\x1b"
    assert clean(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b]0;title\x07", "a\\x1b]0;title\\x07"),
        ("\x9b31m", "\\x9b31m"),
        ("\u202egpj.exe", "\\u202egpj.exe"),
        ("one\r\ntwo\tthree\u2028four", "one  two three four"),
        ("\udc80", "\\udc80"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_the_rest_is_an_escape_or_a_blank(text: str, shown: str) -> None:
    assert clean(text) == shown


def test_a_line_of_progress_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    say("one\nerror: two\x1b[2J")
    assert capsys.readouterr().err == "one error: two\\x1b[2J\n"


def test_results_keep_their_lines(capsys: pytest.CaptureFixture[str]) -> None:
    show("one\ntwo\x1b[2J")
    assert capsys.readouterr().out == "one\ntwo\\x1b[2J\n"


def test_an_error_is_two_lines_whatever_it_quotes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        fail(StartupError("no column\nhint: a\x1b]0;", "b\nc"))
    assert capsys.readouterr().err == "error: no column hint: a\\x1b]0;\nhint: b c\n"
