from serve_app.api.sticky_refusal import HOLDS_S, StickyRefusal


def test_a_refusal_is_forgotten_after_a_moment() -> None:
    now = [0.0]
    refusal = StickyRefusal(clock=lambda: now[0])
    assert not refusal.holds(100)
    refusal.note(100, "3")
    assert refusal.holds(100) == "3"
    now[0] = HOLDS_S
    assert not refusal.holds(100)


def test_the_smallest_request_refused_decides_which_pass() -> None:
    refusal = StickyRefusal(clock=lambda: 0.0)
    refusal.note(100, "3")
    assert not refusal.holds(40)
    refusal.note(40, "3")
    refusal.note(100, "3")
    assert refusal.holds(40)
    assert not refusal.holds(20)
