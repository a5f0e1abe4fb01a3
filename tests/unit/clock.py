"""Time that passes when told to."""


class ManualClock:
    """A monotonic clock in seconds."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now
