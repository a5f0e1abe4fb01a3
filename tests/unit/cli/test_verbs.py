from importlib.metadata import EntryPoint

import pytest
from typer.testing import CliRunner

from serve_app.cli.__main__ import VERBS, add_verbs, app


def verbs() -> str:
    return CliRunner().invoke(app, ["--help"]).output


def test_a_package_that_stands_on_this_one_adds_a_verb() -> None:
    assert "report" in verbs()


def test_a_verb_of_a_package_that_is_not_there_is_none() -> None:
    before = verbs()
    add_verbs([EntryPoint("magic", "no_such_package.command:app", VERBS)])
    assert verbs() == before


def test_a_verb_of_a_package_that_is_broken_is_no_secret() -> None:
    with pytest.raises(ModuleNotFoundError):
        add_verbs([EntryPoint("magic", "loadtest.no_such_module:app", VERBS)])
