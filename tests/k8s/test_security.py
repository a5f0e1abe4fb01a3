from ipaddress import ip_network

import pytest

from tests.k8s.conftest import Render
from tests.k8s.manifests import of_kind
from tests.k8s.security import violations


@pytest.mark.parametrize("overlay", ["dev", "prod"])
def test_the_lint_finds_nothing(overlay: str, rendered: Render) -> None:
    assert list(violations(rendered(overlay))) == []


def test_production_talks_only_to_named_private_networks(rendered: Render) -> None:
    blocks = [
        peer["ipBlock"]["cidr"]
        for policy in of_kind(rendered("prod"), "NetworkPolicy")
        for rule in policy["spec"].get("egress", [])
        for peer in rule["to"]
        if "ipBlock" in peer
    ]
    assert blocks
    assert all(ip_network(block).is_private for block in blocks)
    assert all(ip_network(block).prefixlen >= 24 for block in blocks)
