"""Partitions in network namespaces, with short keepalives; `python tests/faults` has those that are usual."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from faults.networks import missing
from faults.partitions import (
    SHORT,
    Finding,
    Site,
    address_change_and_used,
    black_hole_while_idle,
    dns_black_hole,
    ipv6_black_hole,
    site,
)
from faults.report import line_of_finding

WHY_NOT = missing()
pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=f"network namespaces: {WHY_NOT}")
CHOSEN: tuple[Callable[[Site], Awaitable[Finding]], ...] = (
    black_hole_while_idle,
    address_change_and_used,
    ipv6_black_hole,
    dns_black_hole,
)


async def test_node_finds_out_in_time_loses_nothing_and_recovers_without_a_restart(tmp_path: Path) -> None:
    async with site(tmp_path, SHORT) as it:
        found = [await scenario(it) for scenario in CHOSEN]

    assert [] == [line_of_finding(each) for each in found if each.problems]
