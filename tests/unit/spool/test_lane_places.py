from random import Random

from fakes.clock import FakeClock

from edgeclient.config.spool_schema import SpoolConfig
from edgeclient.core.events import Uplink
from edgeclient.spool.lane import Lane


def test_no_more_jobs_are_begun_than_live_calls_leave_room_for() -> None:
    room = [16]
    clock = FakeClock()
    lane = Lane(
        SpoolConfig(max_in_flight=16),
        uplink=lambda: Uplink.ONLINE,
        places=lambda: room[0],
        observe=lambda _event: None,
        clock=clock,
        rng=Random(1),
    )
    for _ in range(20):
        lane.answered(lane.begin())
    assert 16 == lane.limit(clock.monotonic_s())

    room[0] = 3

    assert 3 == lane.limit(clock.monotonic_s())
