import pytest
from fakes.clock import FakeClock
from spool_bench import FakeTime

from edgeclient.spool.ttl_clock import MAX_OFF_MS, Anchor, QueueClock, SystemTime

HOUR_S = 3600.0
YEAR_S = 365 * 86_400.0


@pytest.fixture
def time() -> FakeTime:
    return FakeTime(FakeClock())


def test_clock_follows_the_time_since_boot(time: FakeTime) -> None:
    clock = QueueClock(time, Anchor())

    time.clock.advance(5)

    assert 5000 == clock.now_ms()


@pytest.mark.parametrize("jump_s", [-1_800_000_000.0, -HOUR_S, HOUR_S, 10 * YEAR_S])
def test_setting_the_wall_clock_changes_nothing(time: FakeTime, jump_s: float) -> None:
    time.trusted = True
    clock = QueueClock(time, Anchor())
    anchor = clock.anchor()

    time.wall_offset_s = jump_s
    time.clock.advance(5)

    assert 5000 == clock.now_ms() == clock.anchor().queue_ms
    assert 5000 == QueueClock(time, anchor).now_ms()


def test_restart_within_a_boot_goes_on(time: FakeTime) -> None:
    anchor = QueueClock(time, Anchor(queue_ms=7000)).anchor()

    time.clock.advance(5)

    assert 12_000 == QueueClock(time, anchor).now_ms()


def test_frozen_clock_goes_on_where_it_stopped(time: FakeTime) -> None:
    clock = QueueClock(time, Anchor())
    frozen = [clock.now_ms() for _ in range(3)]

    time.clock.advance(1)

    assert [0, 0, 0, 1000] == [*frozen, clock.now_ms()]


def test_clock_never_goes_back(time: FakeTime) -> None:
    clock = QueueClock(time, Anchor(queue_ms=9000))

    time.booted_at_s += 100

    assert 9000 == clock.now_ms()


def test_after_a_reboot_only_the_time_since_then_is_certain(time: FakeTime) -> None:
    anchor = QueueClock(time, Anchor(queue_ms=1000)).anchor()

    time.reboot(off_s=HOUR_S)

    assert 11_000 == QueueClock(time, anchor).now_ms()


def test_trusted_wall_clock_tells_how_long_the_node_was_off(time: FakeTime) -> None:
    time.trusted = True
    anchor = QueueClock(time, Anchor(queue_ms=1000)).anchor()
    time.reboot(off_s=HOUR_S)
    clock = QueueClock(time, anchor)

    clock.anchor()

    assert 1000 + 3_610_000 == clock.now_ms()


def test_time_off_is_credited_once_the_wall_clock_is_trusted(time: FakeTime) -> None:
    time.trusted = True
    anchor = QueueClock(time, Anchor()).anchor()
    time.reboot(off_s=HOUR_S)
    time.trusted = False
    clock = QueueClock(time, anchor)
    clock.anchor()
    before_ms = clock.now_ms()

    time.trusted = True
    clock.anchor()
    clock.anchor()

    assert (10_000, 3_610_000) == (before_ms, clock.now_ms())


@pytest.mark.parametrize("jump_s", [-1_800_000_000.0, -2 * HOUR_S, 10 * YEAR_S])
def test_implausible_wall_clock_after_a_reboot_is_not_believed(time: FakeTime, jump_s: float) -> None:
    time.trusted = True
    anchor = QueueClock(time, Anchor()).anchor()
    time.reboot(off_s=HOUR_S)
    time.wall_offset_s = jump_s
    clock = QueueClock(time, anchor)

    clock.anchor()

    assert 10_000 == clock.now_ms()


def test_untrusted_wall_clock_before_a_reboot_is_not_believed(time: FakeTime) -> None:
    anchor = QueueClock(time, Anchor()).anchor()
    time.trusted = True
    time.reboot(off_s=HOUR_S)
    clock = QueueClock(time, anchor)

    clock.anchor()

    assert 10_000 == clock.now_ms()


def test_second_reboot_before_the_clock_is_trusted_loses_no_time(time: FakeTime) -> None:
    time.trusted = True
    first = QueueClock(time, Anchor()).anchor()
    time.reboot(off_s=HOUR_S)
    time.trusted = False
    second = QueueClock(time, first).anchor()
    time.reboot(off_s=HOUR_S)
    time.trusted = True
    clock = QueueClock(time, second)

    clock.anchor()

    assert 20_000 <= clock.now_ms() <= 2 * (3_600_000 + 10_000)


def test_future_is_told_on_the_wall_clock_of_now(time: FakeTime) -> None:
    clock = QueueClock(time, Anchor())
    time.wall_offset_s = -1_000_000

    assert time.wall_ms() + 60_000 == clock.to_wall_ms(60_000)
    assert 0 == clock.to_wall_ms(0)


def test_this_machine_has_clocks() -> None:
    system = SystemTime()

    assert system.boot_ms() <= system.boot_ms()
    assert system.wall_ms() > MAX_OFF_MS
    assert system.boot_id() == SystemTime().boot_id()
    assert system.wall_is_trusted() in (True, False)


def test_clock_that_begins_in_1970_tells_times_that_apply(time: FakeTime) -> None:
    time.wall_offset_s = -time.clock.wall_s()

    assert 1 == QueueClock(time, Anchor()).wall_ms()
