from importlib.metadata import EntryPoint
from typing import get_args

import pytest
from typer.testing import CliRunner

from serve_app.cli.__main__ import MAX_LOAD, VERBS, add_verbs, app
from serve_app.cli.help import Engine
from serve_app.settings import EngineChoice


@pytest.mark.parametrize("option", ["--rps", "--texts", "--hit-rate", "--tokens-per-second"])
@pytest.mark.parametrize("number", ["inf", "nan", "-1"])
def test_no_capacity_is_counted_for_what_is_no_number(option: str, number: str) -> None:
    refused = CliRunner().invoke(app, ["capacity", "--rps", "1", option, number])
    assert refused.exit_code == 2


def test_the_greatest_load_is_counted() -> None:
    arguments = ["--rps", f"{MAX_LOAD}", "--texts", f"{MAX_LOAD}", "--tokens", "512"]
    assert CliRunner().invoke(app, ["capacity", *arguments]).exit_code == 0


def test_the_engines_to_choose_from_are_those_of_the_service_but_for_the_simulated_one() -> None:
    assert set(get_args(Engine)) == set(get_args(EngineChoice)) - {"simulated"}


def test_no_scores_are_invented_for_a_data_set() -> None:
    refused = CliRunner().invoke(app, ["batch", "in", "out", "--engine", "simulated"])
    assert refused.exit_code == 2


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
