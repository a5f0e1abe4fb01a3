import asyncio

import pytest

from serve_app.gateway import readiness
from serve_app.gateway.gateway import Gateway
from serve_app.gateway.readiness import PROBE_TEXT
from tests.unit.gateway.model import Model, classify


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let probes and silence last milliseconds."""
    monkeypatch.setattr(readiness, "PROBE_LIFETIME_S", 0.0)
    monkeypatch.setattr(readiness, "PROBE_WAIT_S", 0.001)
    monkeypatch.setattr(readiness, "PROBE_TIMEOUT_S", 0.01)


@pytest.mark.parametrize("fault", ["busy", "silent"])
@pytest.mark.usefixtures("impatient")
async def test_a_busy_model_is_ready_as_long_as_it_has_answered_lately(
    gateway: Gateway, model: Model, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await classify(gateway, "a")
    setattr(model, fault, True)
    assert (await gateway.readiness()).model == "ok"
    monkeypatch.setattr(readiness, "MAX_SILENCE_S", 0.0)
    assert (await gateway.readiness()).model == "unavailable"


@pytest.mark.usefixtures("impatient")
async def test_without_a_replica_nothing_is_merely_busy(
    gateway: Gateway, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    await classify(gateway, "a")
    model.silent = True
    monkeypatch.setattr(model, "replicas", lambda: 0)
    assert (await gateway.readiness()).model == "unavailable"


@pytest.mark.usefixtures("impatient")
async def test_a_model_that_never_answered_is_not_ready(gateway: Gateway, model: Model) -> None:
    model.silent = True
    assert (await gateway.readiness()).model == "unavailable"


async def test_a_probe_that_is_answered_late_tells_that_the_model_answers(
    gateway: Gateway, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "PROBE_WAIT_S", 0.001)
    model.late_s = 0.02
    for _ in range(2):
        assert (await gateway.readiness()).model == "unavailable"
    await asyncio.sleep(2 * model.late_s)
    assert (await gateway.readiness()).model == "ok"
    assert model.asked == [[PROBE_TEXT]]


async def test_ready_asks_the_model_and_shares_the_probe(gateway: Gateway, model: Model) -> None:
    states = await asyncio.gather(*(gateway.readiness() for _ in range(5)))
    assert {(state.model, state.cache) for state in states} == {("ok", "off")}
    assert model.asked == [[PROBE_TEXT]]


async def test_a_model_that_has_just_answered_a_request_is_not_probed(
    gateway: Gateway, model: Model
) -> None:
    await classify(gateway, "a")
    assert (await gateway.readiness()).model == "ok"
    assert model.asked == [["a"]]


async def test_not_ready_without_a_model(gateway: Gateway, model: Model) -> None:
    model.available = False
    assert (await gateway.readiness()).model == "unavailable"
