import pytest

from loadtest.compare.environments import REQUIREMENTS
from loadtest.compare.systems import SYSTEMS, System


@pytest.mark.parametrize("system", SYSTEMS.values(), ids=SYSTEMS)
def test_every_package_of_a_peer_is_pinned(system: System) -> None:
    lines = (REQUIREMENTS / f"{system.requirements}.txt").read_text().split()
    assert lines
    assert all("==" in line for line in lines)
