"""What is to be done when it is a call's turn, and before anything leaves."""

import asyncio

import pytest
from fakes.desk import Desk
from fakes.timed_clock import TimedClock, settle

from edgeclient.config.row_schema import LimitConfig
from edgeclient.core.call import Call
from edgeclient.core.errors import Reason, Unavailable
from edgeclient.policy.quota import Quota


class NotNowError(Exception):
    """Of whoever was asked."""


class Door:
    """Keeps those whose turn it is waiting until it is opened, or fails."""

    def __init__(self, *errors: Exception) -> None:
        self.asked = 0
        self.opened = asyncio.Event()
        self._errors = list(errors)

    async def __call__(self) -> None:
        self.asked += 1
        await self.opened.wait()
        if self._errors:
            raise self._errors.pop(0)


def limited(clock: TimedClock) -> Quota:
    """The tokens of one call a minute."""
    rows = [LimitConfig(model="*", tokens_per_minute=10, tokens_per_second=10)]
    return Quota(limits=rows, now_s=clock.monotonic_s(), wall_s=clock.wall_s())


def ask(desk: Desk, name: str, door: Door) -> Call:
    call = desk.ask(name)
    call.before_send = door
    return call


async def test_it_is_done_when_the_turn_has_come_and_before_anything_leaves() -> None:
    desk, door = Desk(places=1), Door()
    await desk.asked("a")
    ask(desk, "b", door)
    await settle()
    assert 0 == door.asked

    desk.upstream.finish("a")
    await settle()
    assert (1, ["a"]) == (door.asked, desk.upstream.order)
    assert 1 == desk.stage.in_flight

    door.opened.set()
    await settle()
    assert ["a", "b"] == desk.upstream.order


async def test_it_is_done_for_each_attempt() -> None:
    desk, door = Desk(places=1), Door()
    door.opened.set()
    call = ask(desk, "a", door)
    await settle()
    await desk.served()
    desk.again(call)
    await settle()
    await desk.served()

    assert 2 == door.asked == len(desk.upstream.order)


@pytest.mark.parametrize("paid", [False, True])
async def test_who_was_refused_for_free_is_unsent_again_and_its_turn_is_given_back(*, paid: bool) -> None:
    desk, door = Desk(places=1), Door()
    door.opened.set()
    call = desk.ask("a")
    call.after_free = door
    await settle()
    call.maybe_paid = paid
    desk.upstream.errors = [Unavailable(Reason.ERROR_REASON_UPSTREAM_UNAVAILABLE, "503")]
    desk.upstream.finish("a")
    await settle()

    assert (0 if paid else 1) == door.asked
    assert isinstance(desk.tasks["a"].exception(), Unavailable)
    assert desk.is_empty


@pytest.mark.parametrize("cancelled", [False, True])
async def test_turn_and_reservation_of_who_does_not_begin_are_given_back(*, cancelled: bool) -> None:
    desk, door = Desk(places=1, quota=limited), Door(NotNowError())
    ask(desk, "a", door)
    await settle()
    await desk.asked("b")
    assert 1 == desk.stage.in_flight

    if cancelled:
        desk.tasks["a"].cancel()
    else:
        door.opened.set()
    await settle()

    assert ["b"] == desk.upstream.order  # all of the minute's tokens are there for it
    assert cancelled is desk.tasks["a"].cancelled()
    if not cancelled:
        assert isinstance(desk.tasks["a"].exception(), NotNowError)
    await desk.served()
    assert desk.is_empty
