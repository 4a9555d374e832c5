"""A node whose address changes."""

import pytest

from edgeclient.upstream import source_address
from edgeclient.upstream.source_address import SourceWatch, source_addresses

IPV4, IPV6 = 2, 10
HOME = {IPV4: "192.168.1.20", IPV6: "2001:db8:1::20"}
RADIO = "10.64.3.9"


@pytest.fixture
def present(monkeypatch: pytest.MonkeyPatch) -> dict[int, str]:
    """What the kernel would say; a test may change it."""
    present = dict(HOME)
    monkeypatch.setattr(source_address, "source_addresses", lambda: dict(present))
    return present


@pytest.fixture
def watch(present: dict[int, str]) -> SourceWatch:
    del present
    return SourceWatch()


def test_node_that_stays_has_not_moved(watch: SourceWatch) -> None:
    assert [False, False] == [watch.has_moved(now_s=now_s) for now_s in (0.0, 3600.0)]


@pytest.mark.parametrize("family", [IPV4, IPV6])
def test_another_address_is_a_move_and_is_told_once(watch: SourceWatch, present: dict[int, str], family: int) -> None:
    present[family] = RADIO

    assert [True, False] == [watch.has_moved(now_s=now_s) for now_s in (0.0, 3600.0)]


def test_way_that_is_gone_may_come_back_as_it_was(watch: SourceWatch, present: dict[int, str]) -> None:
    present.clear()
    assert not watch.has_moved(now_s=0.0)
    present.update(HOME)
    assert not watch.has_moved(now_s=10.0)
    present.clear()
    assert not watch.has_moved(now_s=20.0)
    present[IPV4] = RADIO
    assert watch.has_moved(now_s=30.0)


def test_family_that_is_new_is_no_move(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_address, "source_addresses", dict)
    watch = SourceWatch()
    monkeypatch.setattr(source_address, "source_addresses", lambda: dict(HOME))

    assert not watch.has_moved(now_s=0.0)


def test_calls_in_one_moment_look_once(watch: SourceWatch, present: dict[int, str]) -> None:
    assert not watch.has_moved(now_s=10.0)
    present[IPV4] = RADIO

    assert [False, True] == [watch.has_moved(now_s=now_s) for now_s in (10.01, 11.0)]


def test_kernel_names_addresses_of_this_node_and_sends_nothing() -> None:
    assert set(source_addresses()) <= {IPV4, IPV6}
    assert "" not in source_addresses().values()
