import pytest

pytest.importorskip("torch")

from training.batching import bucket_length, pad, plan_epoch


def test_every_example_occurs_once_and_fits() -> None:
    lengths = [3 + 37 * index % 500 for index in range(300)]
    microbatches = [m for step in plan_epoch(lengths, 16, 1024, "0") for m in step]
    assert sorted(row for m in microbatches for row in m.rows) == list(range(300))
    for microbatch in microbatches:
        assert max(lengths[row] for row in microbatch.rows) <= microbatch.length
        assert len(microbatch.rows) * microbatch.length <= 1024


def test_all_steps_but_the_last_reach_the_batch_size() -> None:
    steps = plan_epoch([5] * 100 + [200] * 11, 16, 1024, "0")
    assert all(sum(len(m.rows) for m in step) >= 16 for step in steps[:-1])


def test_there_are_few_shapes() -> None:
    lengths = [3 + index % 60 for index in range(1000)]
    steps = plan_epoch(lengths, 32, 1024, "0")
    shapes = {(len(m.rows), m.length) for step in steps for m in step}
    assert len(shapes) <= 6 + 1


def test_the_seed_decides_the_order() -> None:
    lengths = list(range(3, 60))
    assert plan_epoch(lengths, 8, 256, "a") == plan_epoch(lengths, 8, 256, "a")
    assert plan_epoch(lengths, 8, 256, "a") != plan_epoch(lengths, 8, 256, "b")


def test_an_example_longer_than_the_budget_passes_alone() -> None:
    (step,) = plan_epoch([500], 8, 64, "0")
    assert [m.rows for m in step] == [(0,)]


def test_nothing_to_plan_is_no_step() -> None:
    assert plan_epoch([], 8, 64, "0") == []


@pytest.mark.parametrize(("length", "padded"), [(1, 8), (8, 8), (9, 16), (300, 384), (512, 512)])
def test_lengths_are_rounded_up(length: int, padded: int) -> None:
    assert bucket_length(length) == padded


def test_padding_is_masked() -> None:
    ids, mask = pad([[2, 7, 3], [2, 3]], 4, pad_id=0)
    assert ids.tolist() == [[2, 7, 3, 0], [2, 3, 0, 0]]
    assert mask.tolist() == [[1, 1, 1, 0], [1, 1, 0, 0]]
