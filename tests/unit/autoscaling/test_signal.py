from math import isfinite

from hypothesis import given
from hypothesis import strategies as st

from serve_app.autoscaling.policy import Fleet, Load, classifier_load, gateway_load, replicas
from serve_app.autoscaling.replica_stats import (
    CPU,
    HELD,
    PER_CHAR,
    RATE,
    WAITING,
    WANTED,
    ClassifierReport,
    GatewayReport,
    read_classifier,
    read_gateway,
)
from serve_app.settings import ScalingSettings
from tests.unit.autoscaling.series import NOW, Sample

STALE_S = 10.0
GATEWAY = GatewayReport(cpu=0.5, wanted=400, held=0, rising=800)
CLASSIFIER = ClassifierReport(waiting=5, rate=100, per_char=0.25)


def test_demand_is_what_comes_to_the_gateways_in_tokens() -> None:
    load = classifier_load([CLASSIFIER, CLASSIFIER], [GATEWAY, GATEWAY])
    assert load == Load(arriving=200, waiting=10, rate=100, complete=True, rising=400)


def test_what_gateways_hold_waits_too() -> None:
    load = classifier_load([CLASSIFIER], [GATEWAY._replace(held=40), GATEWAY])
    assert load is not None
    assert load.waiting == 15


def test_a_fresh_classifier_counts_with_the_means_of_the_others() -> None:
    reports = [
        ClassifierReport(5, 100, 0.2),
        ClassifierReport(5, 200, 0.4),
        ClassifierReport(5, None, None),
    ]
    load = classifier_load(reports, [GatewayReport(0, 100, 0)])
    assert load is not None
    assert round(load.arriving, 6) == 30
    assert (load.waiting, load.rate, load.complete) == (15, 150, True)


def test_a_missing_report_of_either_is_noticed() -> None:
    for classifiers, gateways in (
        ([CLASSIFIER, None], [GATEWAY]),
        ([CLASSIFIER], [GATEWAY, None]),
        ([CLASSIFIER], [GATEWAY, GatewayReport(None, None, 0)]),
        ([CLASSIFIER], []),
    ):
        load = classifier_load(classifiers, gateways)
        assert load is not None
        assert not load.complete


def test_nothing_is_known_before_any_classifier_has_measured_its_rate() -> None:
    assert classifier_load([], [GATEWAY]) is None
    assert classifier_load([None, ClassifierReport(5, None, 0.2)], [GATEWAY]) is None


def test_a_gateways_work_is_the_time_of_its_process() -> None:
    load = gateway_load([GATEWAY, GATEWAY])
    assert load == Load(arriving=1.0, waiting=0.0, rate=1.0, complete=True)
    assert gateway_load([None, GatewayReport(None, None, 5)]) is None
    partial = gateway_load([GATEWAY, None])
    assert partial is not None
    assert not partial.complete


numbers = st.floats(allow_nan=True, allow_infinity=True)
samples = st.lists(st.builds(Sample, st.floats(NOW - 30, NOW + 30), numbers), max_size=4)
reported = st.lists(
    st.dictionaries(st.sampled_from([WAITING, RATE, PER_CHAR, CPU, WANTED, HELD]), samples),
    max_size=4,
)


@given(reported, reported)
def test_whatever_replicas_report_there_is_a_number_of_them(
    of_classifiers: list[dict[str, list[Sample]]], of_gateways: list[dict[str, list[Sample]]]
) -> None:
    classifiers = [read_classifier(each, NOW - STALE_S) for each in of_classifiers]
    gateways = [read_gateway(each, NOW - STALE_S, 5.0) for each in of_gateways]
    for load in (classifier_load(classifiers, gateways), gateway_load(gateways)):
        assert load is None or all(
            isfinite(value) for value in (load.arriving, load.waiting, load.rising)
        )
        assert 1 <= replicas(load, Fleet(2, 3, 1, 9), ScalingSettings()) <= 9
