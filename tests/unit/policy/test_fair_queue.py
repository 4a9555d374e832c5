import tracemalloc
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from edgeclient.core.jobs import Waiting
from edgeclient.policy.fair_queue import AGED_TURN, FairQueue
from edgeclient.v1.chat_pb2 import PRIORITY_HIGH, PRIORITY_LOW, PRIORITY_NORMAL

DAY_MS = 86_400_000


def waiting(seq: int, **over: Any) -> Waiting:
    facts: dict[str, Any] = {
        "id": f"job-{seq}",
        "caller": "device-7",
        "conversation_id": "",
        "priority": PRIORITY_NORMAL,
        "seq": seq,
        "create_ms": 0,
        "expire_ms": DAY_MS,
        "next_attempt_ms": 0,
    }
    return Waiting(**(facts | over))


def queue(*jobs: Waiting, ageing_s: float = 60.0) -> FairQueue[Waiting]:
    made = FairQueue[Waiting](ageing_s=ageing_s)
    for job in jobs:
        made.add(job)
    return made


def drained(fair: FairQueue[Waiting], now_ms: int = 0, most: int = 100_000) -> list[Waiting]:
    """Take and finish one job after the other."""
    taken: list[Waiting] = []
    while len(taken) < most and (job := fair.next(now_ms)) is not None:
        fair.remove(job.id)
        taken.append(job)
    return taken


def jain(counts: list[int]) -> float:
    return sum(counts) ** 2 / (len(counts) * sum(count * count for count in counts))


def test_order_of_acceptance_where_nothing_else_counts() -> None:
    fair = queue(*[waiting(seq) for seq in (3, 1, 2)])

    assert [1, 2, 3] == [job.seq for job in drained(fair)]


def test_empty_queue_has_no_next() -> None:
    assert FairQueue[Waiting]().next(0) is None


def test_priorities_share_by_their_weights() -> None:
    kinds = (PRIORITY_HIGH, PRIORITY_NORMAL, PRIORITY_LOW)
    fair = queue(*[waiting(3 * turn + place, priority=kind) for turn in range(200) for place, kind in enumerate(kinds)])

    shares = Counter(job.priority for job in drained(fair, most=130))

    assert {PRIORITY_HIGH: 80, PRIORITY_NORMAL: 40, PRIORITY_LOW: 10} == shares


def test_unknown_priority_counts_as_normal() -> None:
    assert 1 == len(drained(queue(waiting(1, priority=77))))


def test_idle_priority_saves_no_turns_up() -> None:
    fair = queue(*[waiting(seq, priority=PRIORITY_NORMAL) for seq in range(1000)])
    drained(fair, most=500)
    for seq in range(1000, 1200):
        fair.add(waiting(seq, priority=PRIORITY_LOW))

    shares = Counter(job.priority for job in drained(fair, most=100))

    assert 80 == shares[PRIORITY_NORMAL]


@pytest.mark.parametrize("now_ms", [0, 3_600_000], ids=["fresh", "all of them old"])
def test_one_chatty_device_starves_nobody(now_ms: int) -> None:
    chatty = [waiting(seq, caller="chatty") for seq in range(2000)]
    quiet = [waiting(2000 + seq, caller=f"quiet-{seq % 9}") for seq in range(9 * 20)]

    counts = Counter(job.caller for job in drained(queue(*chatty, *quiet), now_ms, most=180))

    assert 10 == len(counts)
    assert jain(list(counts.values())) >= 0.95


def test_old_job_overtakes_whatever_keeps_arriving() -> None:
    fair = queue(waiting(0, priority=PRIORITY_LOW, caller="slow", create_ms=0), ageing_s=60.0)
    now_ms = 61_000
    order = []
    for turn in range(1, 3 * AGED_TURN):
        for seq in range(10 * turn, 10 * turn + 10):
            fair.add(waiting(seq, priority=PRIORITY_HIGH, caller=f"eager-{seq}", create_ms=now_ms))
        order += drained(fair, now_ms, most=1)

    assert 0 in [job.seq for job in order[:AGED_TURN]]


def test_oldest_job_does_not_wait_for_all_other_callers() -> None:
    others = [waiting(2 + seq, caller=f"other-{seq}") for seq in range(100)]
    fair = queue(waiting(0), waiting(1), *others, ageing_s=60.0)

    first = [job.seq for job in drained(fair, 60_000, most=AGED_TURN)]

    assert 0 == first[0]
    assert 1 == first[-1]


def test_conversation_has_one_job_under_way() -> None:
    fair = queue(*[waiting(seq, conversation_id="c") for seq in (1, 2)], waiting(3, caller="other"))

    assert [1, 3] == sorted(job.seq for job in (fair.next(0), fair.next(0)) if job)
    assert fair.next(0) is None
    fair.remove("job-1")
    assert "job-2" == getattr(fair.next(0), "id", "")


def test_same_conversation_id_of_another_caller_is_another_conversation() -> None:
    fair = queue(waiting(1, conversation_id="c"), waiting(2, conversation_id="c", caller="other"))

    assert fair.next(0) is not None
    assert fair.next(0) is not None


def test_job_that_waits_for_its_retry_holds_its_conversation_up() -> None:
    fair = queue(*[waiting(seq, conversation_id="c") for seq in (1, 2)])
    failed = fair.next(0)
    assert failed is not None
    fair.add(replace(failed, next_attempt_ms=5000))

    assert fair.next(4999) is None
    assert 5000 == fair.due_ms(0)
    assert ["job-1", "job-2"] == [job.id for job in drained(fair, 5000)]


def test_older_job_that_comes_late_goes_first() -> None:
    fair = queue(waiting(5, conversation_id="c"))
    fair.add(waiting(2, conversation_id="c"))

    assert [2, 5] == [job.seq for job in drained(fair)]


def test_late_older_job_does_not_join_the_one_under_way() -> None:
    fair = queue(waiting(5, conversation_id="c"))
    assert fair.next(0) is not None
    fair.add(waiting(2, conversation_id="c"))

    assert fair.next(0) is None
    fair.remove("job-5")
    assert ["job-2"] == [job.id for job in drained(fair)]


def test_removal_of_a_job_in_the_middle_lets_the_conversation_go_on() -> None:
    fair = queue(*[waiting(seq, conversation_id="c") for seq in (1, 2, 3)])
    fair.remove("job-2")

    assert [1, 3] == [job.seq for job in drained(fair)]


def test_next_attempt_is_not_before_its_time() -> None:
    fair = queue(waiting(1, next_attempt_ms=100), waiting(2, next_attempt_ms=50))

    assert 50 == fair.due_ms(0)
    assert [2] == [job.seq for job in drained(fair, 99)]
    assert [1] == [job.seq for job in drained(fair, 100)]


def test_change_of_a_waiting_job_replaces_it() -> None:
    fair = queue(waiting(1, next_attempt_ms=100))
    fair.add(waiting(1))

    assert [1] == [job.seq for job in drained(fair)]
    assert fair.next(1000) is None


def test_overdue_job_is_told_once_and_kept() -> None:
    fair = queue(waiting(1, expire_ms=100), waiting(2))

    assert 100 == fair.due_ms(0)
    assert [] == fair.expired(99)
    assert ["job-1"] == [job.id for job in fair.expired(100)]
    assert [] == fair.expired(100)
    assert DAY_MS == fair.due_ms(100)
    assert 2 == len(drained(fair, 100))


def test_job_under_way_does_not_expire_here() -> None:
    fair = queue(waiting(1, expire_ms=100))
    fair.next(0)

    assert [] == fair.expired(100)


def test_job_under_way_is_known_and_does_not_wait() -> None:
    fair = queue(waiting(1))
    fair.next(0)

    assert "job-1" in fair
    assert 0 == len(fair)
    assert fair.remove("job-1") is not None
    assert fair.remove("job-1") is None
    assert "job-1" not in fair


def laned(*jobs: Waiting, ageing_s: float = 60.0) -> FairQueue[Waiting]:
    """A queue in which the first part of an id is the lane."""
    made = FairQueue[Waiting](ageing_s=ageing_s, lane_of=lambda job: job.id.partition("-")[0])
    for job in jobs:
        made.add(job)
    return made


def closed(*lanes: str) -> Callable[[int, str], bool]:
    return lambda _priority, lane: lane in lanes


def test_asking_whose_turn_it_is_takes_no_turn() -> None:
    kinds = (PRIORITY_HIGH, PRIORITY_NORMAL, PRIORITY_LOW)
    asked = queue(*[waiting(3 * turn + place, priority=kind) for turn in range(50) for place, kind in enumerate(kinds)])
    quiet = queue(*[waiting(3 * turn + place, priority=kind) for turn in range(50) for place, kind in enumerate(kinds)])
    order = []
    while (job := asked.first(0)) is not None:
        assert job is asked.first(0)
        asked.take()
        asked.remove(job.id)
        order.append(job)

    assert drained(quiet) == order


def test_turn_is_taken_by_whoever_was_told_and_once() -> None:
    fair = queue(waiting(1), waiting(2))
    fair.first(0)
    fair.take()

    with pytest.raises(RuntimeError):
        fair.take()


def test_jobs_in_a_closed_lane_are_passed_over_and_keep_their_place() -> None:
    fair = laned(*[waiting(seq, id=f"{lane}-{seq}") for seq, lane in enumerate("abab")])

    first = fair.first(0, closed("a"))
    assert first is not None
    assert "b-1" == first.id
    assert fair.first(0, closed("a", "b")) is None
    assert ["a-0", "b-1", "a-2", "b-3"] == [job.id for job in drained(fair)]


def test_lane_may_be_closed_for_one_priority_alone() -> None:
    fair = laned(waiting(1, id="a-1", priority=PRIORITY_LOW), waiting(2, id="a-2", priority=PRIORITY_HIGH))

    first = fair.first(0, lambda priority, _lane: priority == PRIORITY_HIGH)

    assert first is not None
    assert "a-1" == first.id


def test_caller_whose_jobs_are_all_in_closed_lanes_keeps_its_turn() -> None:
    fair = laned(
        waiting(1, id="a-1", caller="held"),
        waiting(2, id="b-2", caller="other"),
        waiting(3, id="b-3", caller="other"),
    )
    job = fair.first(0, closed("a"))
    fair.take()
    assert job is not None
    fair.remove(job.id)

    assert ["a-1", "b-3"] == [job.id for job in drained(fair)]


def test_aged_turn_passes_over_a_closed_lane() -> None:
    fair = laned(waiting(0, id="a-0"), *[waiting(seq, id=f"b-{seq}") for seq in range(1, 40)], ageing_s=0.0)
    order = []
    for _ in range(2 * AGED_TURN):
        job = fair.first(1000, closed("a"))
        assert job is not None
        fair.take()
        fair.remove(job.id)
        order.append(job.id)

    assert "a-0" not in order
    assert sorted(order, key=lambda name: int(name[2:])) == order


def test_ten_thousand_jobs_take_less_than_a_kilobyte_each() -> None:
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        fair = queue(*[waiting(seq, caller=f"c{seq % 50}", conversation_id=f"k{seq % 500}") for seq in range(10_000)])
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert 10_000 == len(fair)
    assert after - before < 10_000 * 1024


def test_jobs_that_come_and_go_leave_nothing_behind() -> None:
    fair = FairQueue[Waiting]()
    for seq in range(5000):
        fair.add(waiting(seq, caller=f"c{seq}", conversation_id=f"k{seq}"))
        drained(fair)

    assert 0 == len(fair)
    assert len(fair._expiring) + sum(map(len, fair._by_age.values())) + len(fair._conversations) < 500
