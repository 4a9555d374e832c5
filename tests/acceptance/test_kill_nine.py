"""The proof in small: the real daemon, killed under load, loses nothing and pays nothing twice.

`python tests/proof --kills 10000` is the same in large.
"""

from pathlib import Path

import pytest
from proof.campaign import Plan, campaign


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "encrypted"])
async def test_nothing_accepted_is_lost_and_nothing_is_paid_twice(tmp_path: Path, *, encrypted: bool) -> None:
    found = await campaign(Plan(kills=5, seed=1, encrypted=encrypted), tmp_path)

    assert [] == found.violations
    assert found.counts["jobs accepted"] > 0
    assert found.counts["attempts in flight at kills"] > 0, "a blind run: no kill met an attempt"
