import asyncio

import pytest

from serve_app.dispatch.dispatcher import WaitEstimator
from serve_app.errors import Overloaded
from serve_app.gateway.admission import MAX_REMEMBERED, REMEMBERED_S, Admission
from serve_app.gateway.gateway import Gateway
from serve_app.settings import GatewaySettings
from tests.unit.clock import ManualClock
from tests.unit.gateway.model import Model, classify

TEXTS = {b"1": "one", b"2": "three"}
NEW = {b"3": "new"}


@pytest.fixture
def estimator(clock: ManualClock) -> WaitEstimator:
    return WaitEstimator(512, clock)


@pytest.fixture
def admission(estimator: WaitEstimator, clock: ManualClock) -> Admission:
    """Admission that takes no text while another one waits."""
    return Admission(estimator, GatewaySettings(max_texts=1, max_pending_texts=1), clock)


def admit(admission: Admission, texts_by_key: dict[bytes, str]) -> None:
    admission.check(texts_by_key, waiting=0, replicas=1)


def refuse(admission: Admission, texts_by_key: dict[bytes, str]) -> None:
    with pytest.raises(Overloaded):
        admission.check(texts_by_key, waiting=1, replicas=1)


def test_work_that_would_wait_longer_than_allowed_is_refused_and_told_how_long(
    estimator: WaitEstimator, clock: ManualClock
) -> None:
    admission = Admission(estimator, GatewaySettings(max_wait_s=5.0))
    clock.now += 1
    estimator.observe_time(busy_replicas=1)
    estimator.observe_done(["x" * 90])
    estimator.add(["x" * 290])
    admit(admission, {b"1": "x" * 90})
    with pytest.raises(Overloaded) as refused:
        admission.check({b"1": "x" * 91}, waiting=1, replicas=1)
    assert refused.value.headers["Retry-After"] == "3"
    admission.check({b"1": "x" * 91}, waiting=1, replicas=2)
    admit(admission, {})


def test_before_a_wait_was_measured_work_is_bounded_by_what_replicas_are_asked_for(
    estimator: WaitEstimator,
) -> None:
    one_call = GatewaySettings(chunk_chars=100, calls_per_replica=1, max_calls_per_replica=1)
    admission = Admission(estimator, one_call)
    estimator.add(["x" * 90])
    admit(admission, {b"1": "x" * 90})
    refuse(admission, {b"1": "x" * 91})
    admission.check({b"1": "x" * 91}, waiting=1, replicas=2)


def test_texts_count_as_arrived_whether_they_are_admitted_or_refused(
    admission: Admission, estimator: WaitEstimator
) -> None:
    admit(admission, TEXTS)
    assert admission.arrived_chars == 8
    estimator.add(["waits"])
    refuse(admission, {b"3": "x" * 4})
    assert admission.arrived_chars == 12


def test_a_refused_text_that_comes_again_counts_once(
    admission: Admission, estimator: WaitEstimator
) -> None:
    estimator.add(["waits"])
    for _ in range(5):
        refuse(admission, TEXTS)
    assert admission.arrived_chars == 8
    refuse(admission, TEXTS | NEW)
    assert admission.arrived_chars == 11
    estimator.remove(["waits"])
    admit(admission, TEXTS)
    assert admission.arrived_chars == 11


def test_a_text_that_was_admitted_and_comes_again_counts_again(
    admission: Admission, estimator: WaitEstimator
) -> None:
    estimator.add(["waits"])
    refuse(admission, TEXTS)
    estimator.remove(["waits"])
    admit(admission, TEXTS)
    admit(admission, TEXTS)
    assert admission.arrived_chars == 16


def test_a_refusal_is_remembered_for_a_while(
    admission: Admission, estimator: WaitEstimator, clock: ManualClock
) -> None:
    estimator.add(["waits"])
    refuse(admission, TEXTS)
    clock.now += REMEMBERED_S + 1
    refuse(admission, NEW)
    refuse(admission, TEXTS)
    assert admission.arrived_chars == 11
    clock.now += 3 * REMEMBERED_S
    refuse(admission, {b"4": "new"})
    clock.now += 3 * REMEMBERED_S
    refuse(admission, {b"5": "new"})
    refuse(admission, TEXTS)
    assert admission.arrived_chars == 25


def test_no_more_refusals_are_remembered_than_two_generations_hold(
    admission: Admission, estimator: WaitEstimator
) -> None:
    estimator.add(["waits"])
    for number in range(0, 3 * MAX_REMEMBERED, 1000):
        refuse(admission, {b"%d" % (number + each): "x" for each in range(1000)})
    assert admission.arrived_chars == 3 * MAX_REMEMBERED
    refuse(admission, {b"%d" % (3 * MAX_REMEMBERED - 1): "x"})
    assert admission.arrived_chars == 3 * MAX_REMEMBERED
    refuse(admission, {b"0": "x"})
    assert admission.arrived_chars == 3 * MAX_REMEMBERED + 1


async def test_texts_that_are_being_computed_are_always_admitted(
    gateway: Gateway, model: Model
) -> None:
    texts = ["slow", "a", "bb", "ccc"]
    first = asyncio.create_task(classify(gateway, *texts))
    while not model.asked:
        await asyncio.sleep(0)
    second = asyncio.create_task(classify(gateway, *texts))
    await asyncio.sleep(0)
    model.go_on.set()
    assert (await first).logits == (await second).logits


async def test_a_refused_chunk_does_not_wait_for_the_others(gateway: Gateway) -> None:
    with pytest.raises(Overloaded):
        await classify(gateway, "slow", "a", "busy", "b")


async def test_too_many_waiting_texts_are_refused_and_the_rest_answered(
    gateway: Gateway, model: Model
) -> None:
    waiting = asyncio.create_task(classify(gateway, "slow", "a", "bb"))
    while not model.asked:
        await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await classify(gateway, "c", "dd", "eee", "ffff")
    model.go_on.set()
    assert len((await waiting).logits) == 3
    assert len((await classify(gateway, "c", "dd", "eee", "ffff")).logits) == 4


async def test_an_idle_gateway_takes_a_request_larger_than_its_queue(gateway: Gateway) -> None:
    texts = [f"{n}" for n in range(9)]
    assert len((await classify(gateway, *texts)).logits) == 9


async def test_new_settings_apply_to_the_next_request_and_work_of_callers_who_left_is_forgotten(
    gateway: Gateway, model: Model
) -> None:
    gateway.reconfigure(GatewaySettings(max_texts=1, max_pending_texts=1))
    slow = asyncio.create_task(classify(gateway, "slow"))
    while not model.asked:
        await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await classify(gateway, "one")
    assert (await classify(gateway)).logits == []
    slow.cancel()
    await asyncio.gather(slow, return_exceptions=True)
    assert (await classify(gateway, "one", "two")).misses == 2


async def test_requests_that_wait_for_the_same_text_are_bounded_too(
    gateway: Gateway, model: Model
) -> None:
    same = [asyncio.create_task(classify(gateway, "slow")) for _ in range(4)]
    while gateway.coalescer.waiting < 4:
        await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await classify(gateway, "slow")
    model.go_on.set()
    await asyncio.gather(*same)
