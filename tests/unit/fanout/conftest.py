from collections.abc import Mapping

import pytest

from serve_app.dispatch.coalescer import SingleFlight
from serve_app.dispatch.wait_estimator import Backlog
from serve_app.scores import TextLogits
from tests.unit.fanout.model import SETTINGS, Model


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
def remembered() -> dict[bytes, TextLogits]:
    return {}


@pytest.fixture
def flights(model: Model, remembered: dict[bytes, TextLogits]) -> SingleFlight:
    def remember(scores: Mapping[bytes, TextLogits]) -> None:
        remembered.update(scores)

    return SingleFlight(model.compute, remember, lambda: 1, SETTINGS, Backlog(512))
