import pytest

from tests.unit.clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()
