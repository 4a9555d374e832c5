"""The drainer's picture of what waits."""

import tracemalloc

import pytest
from fakes.clock import FakeClock

from edgeclient.core.jobs import Waiting
from edgeclient.spool.waiting_room import WaitingRoom
from edgeclient.v1 import chat_pb2

MANY = 10_000


def waiting(clock: FakeClock, seq: int, *, caller: str, priority: int = chat_pb2.PRIORITY_NORMAL) -> Waiting:
    now_ms = int(clock.wall_s() * 1000)
    return Waiting(
        id=f"job-{seq}",
        caller=caller,
        conversation_id="",
        priority=priority,
        seq=seq,
        create_ms=now_ms,
        expire_ms=now_ms + 86_400_000,
        next_attempt_ms=0,
    )


def crowded(clock: FakeClock) -> WaitingRoom:
    """One caller has ten thousand jobs."""
    room = WaitingRoom(clock=clock)
    for seq in range(MANY):
        room.enter(waiting(clock, seq, caller="chatty"))
    return room


@pytest.mark.parametrize("age_s", [0.0, 3600.0], ids=["fresh", "all of them old"])
@pytest.mark.parametrize("taken_before", [0, 1, 14, 15, 16, 5000])
def test_one_job_beside_ten_thousand_of_another_caller_is_begun_in_its_turn(age_s: float, taken_before: int) -> None:
    clock = FakeClock()
    room = crowded(clock)
    clock.advance(age_s)
    for _ in range(taken_before):
        room.next()
    room.enter(waiting(clock, MANY, caller="quiet"))

    turns = [room.next() for _ in range(3)]  # the other caller's, perhaps the oldest job's, and its own

    assert "quiet" in [job.caller for job in turns if job is not None]


def test_urgent_job_of_who_has_ten_thousand_does_not_wait_for_them() -> None:
    clock = FakeClock()
    room = crowded(clock)
    room.enter(waiting(clock, MANY, caller="chatty", priority=chat_pb2.PRIORITY_HIGH))

    assert f"job-{MANY}" in [job.id for job in (room.next(), room.next()) if job is not None]


def test_job_that_is_set_aside_takes_less_than_a_kilobyte() -> None:
    clock = FakeClock()
    room = crowded(clock)
    tracemalloc.start()
    try:
        while (job := room.next()) is not None:
            room.set_aside(job, model="qwen-max")
        held_bytes = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()

    assert held_bytes < 1024 * MANY
    room.call_back("qwen-max")
    assert not room._aside
    assert not room._aside_for
    assert MANY == len(room)
