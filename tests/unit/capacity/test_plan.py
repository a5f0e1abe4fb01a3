import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_app.capacity import CLASSIFIER, GATEWAY, MIN_PODS, GatewayCost, Load, plan

RATE = 10_000.0
COST = GatewayCost(request_ms=0.5, hit_ms=0.01, ask_ms=1.0, miss_ms=0.1)


def test_a_load_is_spread_over_replicas_pods_and_nodes() -> None:
    needs = plan(Load(rps=2000, texts=2, tokens=24, hit_rate=0.5), RATE, COST, utilization=0.75)
    # 2000 x 2 x 0.5 x 24 = 48,000 tokens/s, 4.8 CPUs. Three requests of four ask:
    # 2000 x (0.5 + 0.01 + 0.75 x 1.0 + 0.1) ms = 2.72 CPUs.
    assert (needs.classifiers, needs.gateways) == (7, 4)
    assert needs.pods == 2
    assert needs.classifier_use == pytest.approx(4.8 / 7)
    assert needs.gateway_use == pytest.approx(2.72 / 4)


def test_cached_texts_cost_no_classifier_and_little_of_a_gateway() -> None:
    assert COST.of(texts=64, hit_rate=1) == pytest.approx(0.5 + 0.64)
    assert COST.of(texts=64, hit_rate=0) == pytest.approx(0.5 + 1.0 + 6.4)
    assert COST.of(texts=0, hit_rate=0) == 0.5
    assert plan(Load(500, 64, 24, 1), RATE, COST, 0.75).classifier_use == 0


def test_no_load_needs_the_minimum() -> None:
    needs = plan(Load(0, 1, 24, 0), RATE, COST, 0.75)
    assert (needs.gateways, needs.classifiers) == (GATEWAY.min_replicas, CLASSIFIER.min_replicas)
    assert needs.pods == MIN_PODS


def test_a_plan_tells_whether_it_is_within_the_limits() -> None:
    assert plan(Load(5_000, 1, 24, 0), RATE, COST, 0.75).fits_an_upgrade
    huge = plan(Load(500_000, 1, 24, 0), RATE, COST, 0.75)
    assert (huge.fits, huge.fits_an_upgrade) == (False, False)


loads = st.builds(
    Load,
    rps=st.floats(0, 1e6),
    texts=st.floats(0, 256),
    tokens=st.floats(2, 512),
    hit_rate=st.floats(0, 1),
)


@given(loads, st.floats(0.1, 1))
def test_nothing_is_used_more_than_planned(load: Load, utilization: float) -> None:
    needs = plan(load, RATE, COST, utilization)
    assert needs.gateway_use <= utilization * (1 + 1e-9)
    assert needs.classifier_use <= utilization * (1 + 1e-9)
    assert needs.pods * CLASSIFIER.per_pod >= needs.classifiers
    assert needs.pods * GATEWAY.per_pod >= needs.gateways


@given(loads, st.floats(1, 10))
def test_more_load_never_needs_less(load: Load, factor: float) -> None:
    more = plan(load._replace(rps=load.rps * factor), RATE, COST, 0.75)
    assert all(b >= a for a, b in zip(plan(load, RATE, COST, 0.75)[:3], more[:3], strict=True))
