"""The daemon's memory is what it uses, not what an allocator would like to have.

`python tests/proof --rows 10000` tells how much that is.
"""

from pathlib import Path

import pytest
from acceptance.daemon import Daemon, for_cloud

from edgeclient.simulator import Simulator

_LINE = "THP_enabled:"


def _facts(pid: int | str) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text("ascii", "replace").splitlines()
    return {name: value.strip() for name, _, value in (line.partition("\t") for line in lines)}


@pytest.mark.skipif(_LINE not in _facts("self"), reason="this kernel does not tell whether huge pages are permitted")
async def test_the_daemon_takes_no_huge_pages(sim: Simulator) -> None:
    async with Daemon(for_cloud(sim)) as daemon:
        facts = _facts(daemon._process.pid)

    assert "0" == facts[_LINE]
