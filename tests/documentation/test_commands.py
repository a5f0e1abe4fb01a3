import re
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from serve_app.cli.__main__ import app
from serve_app.cli.help import EXIT_CODES
from tests.documentation.dry_run import Wrong, dry_run
from tests.documentation.markdown import DOCUMENTS, ROOT, code, commands, fences, named
from tests.documentation.shown_by import DRY_RUN, SHOWN_BY

LANGUAGES = {
    *("", "sh", "console"),
    *("python", "javascript", "go", "java", "json", "mermaid", "text", "yaml"),
}
RUNNABLE = ("make ", "sentiment ", "python -m ")
DOCUMENTED = [(document, command) for document in DOCUMENTS for command in commands(document)]
PAGE = (ROOT / "docs" / "cli.md").read_text()


def leaves(command: Any, name: str) -> dict[str, Any]:
    """Return the verbs that do something, by their full names."""
    verbs = getattr(command, "commands", None)
    if not verbs:
        return {name: command}
    return {
        full: leaf
        for verb, each in verbs.items()
        for full, leaf in leaves(each, f"{name} {verb}").items()
    }


ALL = get_command(app)
VERBS = leaves(ALL, "sentiment")
GROUPS = [ALL, *(verb for verb in ALL.commands.values() if hasattr(verb, "commands"))]  # type: ignore[attr-defined]
EXAMPLES = [
    line.strip()
    for verb in [*GROUPS, *VERBS.values()]
    for line in (verb.help or "").partition("Examples:\n")[2].partition("\n\n")[0].splitlines()
]


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_a_block_says_what_it_is(document: Path) -> None:
    assert {fence.language for fence in fences(document)} <= LANGUAGES


@pytest.mark.parametrize(("document", "command"), DOCUMENTED, ids=lambda part: str(part)[-60:])
def test_a_documented_command_is_shown_and_could_be_run(document: Path, command: str) -> None:
    assert command in SHOWN_BY, "say in shown_by.py which test runs it"
    dry_run(command)


def test_what_shows_a_command_is_there() -> None:
    stale = set(SHOWN_BY) - {command for _, command in DOCUMENTED}
    assert stale == set()
    for shown_by in set(SHOWN_BY.values()) - {DRY_RUN}:
        path, _, test = shown_by.partition("::")
        assert (ROOT / path).exists()
        assert not test or re.search(rf"^def {test}\(", (ROOT / path).read_text(), re.MULTILINE)


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_commands_that_are_named_in_text_could_be_run(document: Path) -> None:
    for command in code(document):
        # The name of a verb, or of several, may stand alone.
        is_name = any(f"{verb} ".startswith(f"{command} ") for verb in VERBS)
        if command.startswith(RUNNABLE) and "VERB" not in command and not is_name:
            dry_run(command)


@pytest.mark.parametrize("command", EXAMPLES)
def test_an_example_of_the_help_could_be_run(command: str) -> None:
    dry_run(command)


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_has_examples_and_exit_codes(name: str) -> None:
    shown = VERBS[name].help or ""
    assert name in shown.partition("Examples:")[2]
    codes = dict(re.findall(r"^ +(\d+)  (.+)$", shown.partition("Exit codes:")[2], re.MULTILINE))
    assert codes.items() <= {str(code): meaning for code, meaning in EXIT_CODES.items()}.items()
    assert codes.keys() >= {"0", "1", "2"}


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: str(group.name))
def test_every_group_of_verbs_has_examples(group: Any) -> None:
    assert "Examples:\n  " in group.help


def test_exit_codes_have_one_table_and_one_meaning_each() -> None:
    table = dict(re.findall(r"^\| (\d+) \| (.+?) \|", PAGE, re.MULTILINE))
    assert table == {str(code): meaning for code, meaning in EXIT_CODES.items()}
    rollouts = (ROOT / "docs" / "rollouts.md").read_text()
    told = dict(re.findall(r"^\| (\d+) \| (.+?) \|", rollouts, re.MULTILINE))
    assert told
    assert told.items() <= table.items()


def test_every_verb_has_a_row() -> None:
    rows = re.findall(r"^\| `sentiment (\w+)` \|", PAGE, re.MULTILINE)
    assert set(rows) == {name.split()[1] for name in VERBS}


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("make no-such-verb", "No rule"),
        ("sentiment predict --frob", "No such option"),
        ("sentiment rollout apply", "Missing parameter"),
        ("sentiment no-such-verb", "no verb"),
        ("python -m loadtest.no_such_module", "no module"),
        ("python -m loadtest.batch FILE --frob 3", "no option"),
        ("curl http://127.0.0.1:8000/predict", "the service has no"),
        ("kubectl apply -k kuberay/base/no", "no kustomization"),
        ("frobnicate", "neither"),
    ],
)
def test_a_command_that_could_not_be_run_is_found(command: str, why: str) -> None:
    with pytest.raises(Wrong, match=why):
        dry_run(command)
