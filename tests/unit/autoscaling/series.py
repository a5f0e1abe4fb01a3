"""Time series as the policy reads them."""

NOW = 1_000.0


def series(*values: float, until: float = NOW) -> list[tuple[float, float]]:
    """Return samples that are a second apart."""
    first = until - len(values) + 1
    return [(first + index, value) for index, value in enumerate(values)]
