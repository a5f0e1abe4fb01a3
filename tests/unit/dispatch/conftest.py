import pytest

from tests.unit.dispatch.model import Model, Texts


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
def texts(model: Model) -> Texts:
    return Texts(model)
