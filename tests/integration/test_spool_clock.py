"""The wall clock of a node is set to anything at any time: nothing ends early, and nothing is stuck.

How the clock of the queue sees to that is proved in `tests/unit/spool/test_ttl_clock.py`; here, that the queue goes by
it and by nothing else.
"""

from pathlib import Path

import pytest
from fakes.clock import FakeClock
from spool_bench import FakeTime, SpoolBench, new_job

from edgeclient.core.errors import Reason, Unavailable
from edgeclient.core.jobs import JobState
from edgeclient.spool.waiting_room import WaitingRoom
from edgeclient.v1 import chat_pb2

HOUR_S = 3600.0
JUMPS = {"to 1970": -1_800_000_000.0, "an hour back": -HOUR_S, "ten years on": 315_360_000.0, "frozen": 0.0}
MOMENTS = ("while it runs", "over a crash", "over a reboot")


class Day:
    """Time passes on a node whose wall clock is wrong from some moment on."""

    def __init__(self, bench: SpoolBench, jump: str) -> None:
        self.bench = bench
        self._jump = jump
        self._is_wrong = False

    async def passes(self, duration_s: float) -> None:
        self.bench.clock.advance(duration_s)
        if self._is_wrong and self._jump == "frozen":
            self.bench.time.wall_offset_s -= duration_s
        await self.bench.spool.sweep()  # the daemon does so each minute

    async def goes_wrong(self, moment: str) -> None:
        if moment == "over a reboot":
            self.bench.time.reboot()
        self._is_wrong = True
        self.bench.time.wall_offset_s += JUMPS[self._jump]
        if moment != "while it runs":
            await self.bench.crash()


@pytest.mark.parametrize("trusted", [False, True], ids=["unkept", "kept"])
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("jump", JUMPS)
async def test_nothing_ends_early_and_nothing_is_stuck(
    tmp_path: Path, jump: str, moment: str, *, trusted: bool
) -> None:
    bench = SpoolBench(tmp_path, retention_s=2 * HOUR_S, idempotency_window_s=2 * HOUR_S)
    bench.time.trusted = trusted
    day = Day(bench, jump)
    await bench.open()
    await bench.spool.accept(new_job("waits", ttl_s=HOUR_S, idempotency_key="key"))
    await bench.spool.accept(new_job("done", ttl_s=HOUR_S))
    attempt = await bench.spool.begin("done")
    assert attempt is not None
    await bench.spool.succeed(attempt, chat_pb2.ChatResponse(model="answer"))

    await day.passes(0.5 * HOUR_S)
    await day.goes_wrong(moment)
    await day.passes(0.49 * HOUR_S)

    assert JobState.QUEUED is await _state(bench, "waits")
    assert (await bench.spool.accept(new_job("again", ttl_s=HOUR_S, idempotency_key="key"))).duplicate

    await day.passes(0.1 * HOUR_S)
    assert JobState.EXPIRED is await _state(bench, "waits")
    await day.passes(0.8 * HOUR_S)
    assert JobState.SUCCEEDED is await _state(bench, "done")
    await day.passes(0.2 * HOUR_S)
    assert await _state(bench, "done") is None
    await day.passes(2 * HOUR_S)
    assert await _state(bench, "waits") is None
    await bench.close()


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("jump", JUMPS)
async def test_retry_comes_neither_early_nor_late(tmp_path: Path, jump: str, moment: str) -> None:
    bench = SpoolBench(tmp_path)
    day = Day(bench, jump)
    await bench.open()
    await bench.spool.accept(new_job())
    attempt = await bench.spool.begin("job-1")
    assert attempt is not None
    down = Unavailable(Reason.ERROR_REASON_UPSTREAM_UNAVAILABLE, "down")
    await bench.spool.fail(attempt, down, retry_in_s=60.0, counts=True)

    await day.goes_wrong(moment)
    room = WaitingRoom(clock=_NodeClock(bench.clock, bench.time))
    for waiting in await bench.spool.waiting():
        room.enter(waiting)
    await day.passes(48.0)  # ten seconds have passed over a reboot
    early = room.next()
    await day.passes(12.0)
    due = room.next()

    assert early is None
    assert due is not None
    await bench.close()


class _NodeClock(FakeClock):
    """The clock of the daemon, with the wall of the machine."""

    def __init__(self, clock: FakeClock, time: FakeTime) -> None:
        super().__init__()
        self._clock = clock
        self._time = time

    def monotonic_s(self) -> float:
        return self._clock.monotonic_s()

    def wall_s(self) -> float:
        return self._time.wall_ms() / 1000


async def _state(bench: SpoolBench, job_id: str) -> JobState | None:
    job = await bench.spool.get("device-7", job_id)
    return None if job is None else job.state
