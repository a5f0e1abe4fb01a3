from pathlib import Path

from tests.documentation.sessions import output, stable, with_output

NOWHERE = "http://127.0.0.1:9"
DOCUMENT = "```console\n$ cat reviews.csv\nold\n$ false\n```\n\n```sh\n$ no session\n```\n"


def test_what_a_session_prints_takes_the_place_of_what_it_printed(tmp_path: Path) -> None:
    played = with_output(DOCUMENT, NOWHERE, tmp_path)
    assert played.startswith("```console\n$ cat reviews.csv\nid,text\n1,A gripping story.\n")
    assert played.endswith("$ false\n```\n\n```sh\n$ no session\n```\n")


def test_a_changed_word_is_noticed_and_a_changed_number_is_not() -> None:
    first, second, third = (
        f"```console\n$ a\n{line}\n```" for line in ("p 0.9", "p 0.91", "n 0.9")
    )
    assert stable(first) == stable(second)
    assert stable(first) != stable(third)


def test_errors_come_after_what_a_terminal_shows(tmp_path: Path) -> None:
    assert output("echo error >&2; test -t 1 && echo shown", NOWHERE, tmp_path) == "shown\nerror\n"
