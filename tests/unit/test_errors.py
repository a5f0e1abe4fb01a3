"""Errors cross calls between processes, and those of a request say whole sentences."""

import ast
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest

from serve_app import errors
from serve_app.errors import (
    InvalidRequest,
    MethodNotAllowed,
    Overloaded,
    ServiceError,
)

CODE = Path(errors.__file__).parent
MADE = [
    InvalidRequest.at(["body", "text"], "It is wrong.", "Text is wrong", "string_type"),
    MethodNotAllowed("GET, HEAD"),
    Overloaded("It is full.", wait_s=6.2),
    errors.StartupError("it does not start", "start it again"),
]


def classes() -> list[type[Exception]]:
    found = [each for each in vars(errors).values() if isinstance(each, type)]
    return [each for each in found if issubclass(each, Exception)]


def test_every_error_survives_pickle() -> None:
    made = [each("It is so.") for each in classes()]
    for error in [*made, *MADE]:
        copy = pickle.loads(pickle.dumps(error))
        assert type(copy) is type(error)
        assert vars(copy) == vars(error)
        assert str(copy) == str(error)


def details() -> Iterator[tuple[str, str]]:
    """Yield the details that the code gives to errors of requests, and where."""
    made = set(classes()) - {MethodNotAllowed}
    names = {each.__name__ for each in made if issubclass(each, ServiceError)}
    for file in CODE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in names:
                for given in node.args[:1]:
                    if isinstance(given, ast.Constant | ast.JoinedStr):
                        where = f"{file.relative_to(CODE)}:{node.lineno}"
                        yield where, ast.unparse(given).removeprefix("f").strip("'\"")


@pytest.mark.parametrize(("where", "detail"), list(details()))
def test_details_are_whole_sentences(where: str, detail: str) -> None:
    assert detail[0].isupper() or detail[0] == "{", where
    assert detail.endswith("."), where
