"""The proof in small: the real daemon, killed under load, loses nothing and pays nothing twice.

`python tests/proof --kills 10000` is the same in large.
"""

from pathlib import Path

import pytest
from proof.campaign import Plan, campaign
from proof.census import IN_FLIGHT


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "encrypted"])
async def test_nothing_accepted_is_lost_and_nothing_is_paid_twice(tmp_path: Path, *, encrypted: bool) -> None:
    found = await campaign(Plan(kills=10, seed=1, encrypted=encrypted, settle_s=15.0), tmp_path)

    assert [] == found.violations
    assert 10 == found.counts["kills"]
    assert found.counts["jobs accepted"] > 0
    assert found.counts[IN_FLIGHT] > 0, "a blind run: no kill met an attempt"
    assert 0 < found.counts["kills of execed nodes"] < 10, "both ways to start a node have to be seen"
