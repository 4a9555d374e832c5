"""Subjects are made when they are asked for, in bounded number."""

from edgeclient.core.accounts import OTHER
from edgeclient.policy.quota_register import Register


class Account:
    def __init__(self, name: str) -> None:
        self.name = name
        self.is_idle = False


def made() -> Register[Account]:
    return Register(Account, is_idle=lambda account, _now_s: account.is_idle, most=3)


def test_the_same_name_has_the_same_account() -> None:
    register = made()

    assert register.of("a", 0.0) is register.of("a", 0.0)
    assert register.find("b") is None
    assert [name for name, _ in register] == ["a"]


def test_when_all_are_in_use_further_ones_share_an_account() -> None:
    register = made()
    for name in "abc":
        register.of(name, 0.0)

    assert register.of("d", 0.0) is register.of("e", 0.0)
    assert register.of("d", 0.0).name == OTHER
    assert register.of("a", 0.0).name == "a"
    assert len(register) == 4


def test_an_idle_one_makes_room_but_all_are_looked_at_only_now_and_then() -> None:
    register = made()
    for name in "abc":
        register.of(name, 0.0)
    assert register.of("d", 0.0).name == OTHER
    register.of("a", 0.0).is_idle = True
    register.of("b", 0.0).is_idle = True

    assert register.of("d", 0.5).name == OTHER
    assert register.of("d", 1.0).name == "d"
    assert register.find("a") is None


def test_what_is_forgotten_begins_anew() -> None:
    register = made()
    first = register.of("a", 0.0)
    register.forget("a")
    register.forget("never seen")

    assert register.of("a", 0.0) is not first
