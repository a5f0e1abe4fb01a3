from importlib.metadata import EntryPoint
from typing import get_args

import pytest
from typer.testing import CliRunner

from serve_app.cli.__main__ import MAX_LOAD, VERBS, add_verbs, app
from serve_app.cli.help import Engine
from serve_app.settings import EngineChoice


@pytest.mark.parametrize("option", ["--rps", "--texts", "--hit-rate", "--tokens-per-second"])
@pytest.mark.parametrize("number", ["inf", "nan", "-1"])
def test_capacity_refuses_infinite_and_negative_numbers(option: str, number: str) -> None:
    refused = CliRunner().invoke(app, ["capacity", "--rps", "1", option, number])
    assert refused.exit_code == 2


def test_capacity_plans_the_maximum_load() -> None:
    arguments = ["--rps", f"{MAX_LOAD}", "--texts", f"{MAX_LOAD}", "--tokens", "512"]
    assert CliRunner().invoke(app, ["capacity", *arguments]).exit_code == 0


def test_the_engines_to_choose_from_are_those_of_the_service_but_for_the_simulated_one() -> None:
    assert set(get_args(Engine)) == set(get_args(EngineChoice)) - {"simulated"}


def test_a_data_set_is_not_scored_by_the_simulated_engine() -> None:
    refused = CliRunner().invoke(app, ["batch", "in", "out", "--engine", "simulated"])
    assert refused.exit_code == 2


def verbs() -> str:
    return CliRunner().invoke(app, ["--help"]).output


def test_another_package_adds_a_verb() -> None:
    assert "report" in verbs()


def test_a_missing_package_adds_no_verb() -> None:
    before = verbs()
    add_verbs([EntryPoint("magic", "no_such_package.command:app", VERBS)])
    assert verbs() == before


def test_a_broken_package_of_a_verb_raises() -> None:
    with pytest.raises(ModuleNotFoundError):
        add_verbs([EntryPoint("magic", "loadtest.no_such_module:app", VERBS)])
