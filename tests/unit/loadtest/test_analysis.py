from loadtest.scale.analysis import reaction, turns
from loadtest.scale.observer import Moment

RATE = 100.0


def moments(*rows: tuple[float, int, int]) -> list[Moment]:
    return [Moment(*row, cpu=0.0) for row in rows]


def test_a_reaction_names_the_start_the_delay_and_the_overshoot() -> None:
    seen = moments(
        (10, 1, 1), (12, 5, 1), (14, 10, 1), (18, 10, 5), (20, 10, 10), (22, 9, 9)
    )  # fmt: skip
    waiting = [100, 900, 1500, 1200, 1000, 0]
    found = reaction(seen, waiting, 10, arriving=600, rate=RATE, utilization=0.75, target_wait_s=2)
    assert (found.start_s, found.late_s) == (6, 8)
    assert (found.needed, found.most, found.overshoot) == (8, 10, 0.25)


def test_a_load_that_was_never_late_is_not_late() -> None:
    found = reaction(
        moments((10, 1, 1), (20, 1, 1)), [0, 0], 10, 50, RATE, utilization=0.75, target_wait_s=2
    )
    assert (found.late_s, found.most) == (0, 1)


def test_only_a_change_of_direction_is_flapping() -> None:
    def wanted(*numbers: int) -> list[Moment]:
        return moments(*((float(index), number, 1) for index, number in enumerate(numbers)))

    assert turns(wanted(1, 2, 2, 3, 5)) == 0
    assert turns(wanted(5, 4, 4, 5, 4)) == 2
    assert turns([]) == 0
