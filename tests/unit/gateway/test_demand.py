from serve_app.gateway.admission import MOST_REMEMBERED, REMEMBERED_S, Demand

TEXTS = {b"1": "one", b"2": "three"}


def test_texts_count_whether_they_are_computed_or_refused() -> None:
    demand = Demand()
    demand.admit(TEXTS)
    assert demand.chars == 8
    demand.refuse({b"3": "x" * 4})
    assert demand.chars == 12


def test_a_refused_text_that_comes_again_counts_once() -> None:
    demand = Demand()
    for _ in range(5):
        demand.refuse(TEXTS)
    assert demand.chars == 8
    demand.refuse(TEXTS | {b"3": "new"})
    assert demand.chars == 11
    demand.admit(TEXTS)
    assert demand.chars == 11


def test_one_that_was_computed_and_is_asked_for_again_is_new_work() -> None:
    demand = Demand()
    demand.refuse(TEXTS)
    demand.admit(TEXTS)
    demand.admit(TEXTS)
    assert demand.chars == 16


def test_a_refusal_is_remembered_for_a_while() -> None:
    now = [0.0]
    demand = Demand(clock=lambda: now[0])
    demand.refuse(TEXTS)
    now[0] = REMEMBERED_S + 1
    demand.refuse({b"3": "new"})
    demand.refuse(TEXTS)
    assert demand.chars == 11
    now[0] *= 4
    demand.refuse({b"4": "new"})
    now[0] *= 2
    demand.refuse({b"5": "new"})
    demand.refuse(TEXTS)
    assert demand.chars == 25


def test_no_number_of_refusals_takes_more_memory_than_that_of_two_generations() -> None:
    demand = Demand(clock=lambda: 0.0)
    for number in range(0, 4 * MOST_REMEMBERED, 1000):
        demand.refuse({b"%d" % (number + each): "x" for each in range(1000)})
    assert demand.chars == 4 * MOST_REMEMBERED
    assert len(demand._refused) + len(demand._refused_before) <= 2 * MOST_REMEMBERED
