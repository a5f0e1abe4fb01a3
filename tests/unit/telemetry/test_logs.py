import io
import json
import logging
from collections.abc import Iterator

import pytest

from serve_app.telemetry.logs import LogForm, configure


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    logger = logging.getLogger("serve_app")
    state = (logger.handlers, logger.level, logger.propagate)
    yield
    logger.handlers, logger.level, logger.propagate = state


def _fail() -> None:
    raise ValueError("a text " + "of a user")


def logged(form: LogForm) -> str:
    stream = io.StringIO()
    configure(form, stream=stream)
    logger = logging.getLogger("serve_app.cache")
    logger.debug("too small")
    try:
        _fail()
    except ValueError:
        logger.warning("degraded: %s", "read", exc_info=True)
    return stream.getvalue()


def test_production_logs_one_json_object_a_record() -> None:
    (line,) = logged("json").splitlines()
    record = json.loads(line)
    assert (record["level"], record["logger"]) == ("warning", "serve_app.cache")
    assert record["message"] == "degraded: read"
    assert record["time"].endswith("Z")
    assert record["exception"].endswith("ValueError")


@pytest.mark.parametrize("form", ["json", "text"])
def test_no_message_of_an_exception_is_logged(form: LogForm) -> None:
    assert "a text of a user" not in logged(form)


def test_a_person_reads_text_with_further_lines_indented() -> None:
    first, *further = logged("text").splitlines()
    assert first.endswith(" warning: degraded: read")
    assert further
    assert all(line.startswith("    ") for line in further)
