"""Whatever is added, taken, put back and removed: nothing is lost, doubled, out of order or starved."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from edgeclient.core.jobs import Waiting
from edgeclient.policy.fair_queue import AGED_TURN, FairQueue

CALLERS = ("a", "b", "c")
FAR_MS = 10**12


class Model(RuleBasedStateMachine):
    """The queue beside a plain list of what should be in it."""

    def __init__(self) -> None:
        super().__init__()
        self.fair = FairQueue[Waiting](ageing_s=1.0)
        self.waits: dict[int, Waiting] = {}
        self.taken: dict[int, Waiting] = {}
        self.seq = 0
        self.now_ms = 1

    @rule(
        caller=st.sampled_from(CALLERS),
        conversation_id=st.sampled_from(["", "", "x", "y"]),
        priority=st.integers(0, 3),
        delay_ms=st.sampled_from([0, 0, 500]),
    )
    def accept(self, caller: str, conversation_id: str, priority: int, delay_ms: int) -> None:
        self.seq += 1
        job = Waiting(
            id=f"job-{self.seq}",
            caller=caller,
            conversation_id=conversation_id,
            priority=priority,
            seq=self.seq,
            create_ms=self.now_ms,
            expire_ms=FAR_MS,
            next_attempt_ms=self.now_ms + delay_ms if delay_ms else 0,
        )
        self.waits[job.seq] = job
        self.fair.add(job)

    def candidates(self) -> set[int]:
        """By the definition, slowly."""
        found = set()
        for job in self.waits.values():
            same = [
                other
                for other in (*self.waits.values(), *self.taken.values())
                if job.conversation_id and (other.caller, other.conversation_id) == (job.caller, job.conversation_id)
            ]
            is_free = not any(other.seq in self.taken for other in same)
            is_first = all(other.seq >= job.seq for other in same)
            if is_free and is_first and job.next_attempt_ms <= self.now_ms:
                found.add(job.seq)
        return found

    @rule()
    def take(self) -> None:
        candidates = self.candidates()
        job = self.fair.next(self.now_ms)
        assert (job is None) == (not candidates)
        if job is not None:
            assert job.seq in candidates
            self.taken[job.seq] = self.waits.pop(job.seq)

    @precondition(lambda self: self.taken)
    @rule(data=st.data(), retry=st.booleans())
    def finish(self, data: st.DataObject, retry: bool) -> None:  # noqa: FBT001  hypothesis gives it
        job = self.taken.pop(data.draw(st.sampled_from(sorted(self.taken))))
        if retry:
            again = replace(job, next_attempt_ms=self.now_ms + 300)
            self.waits[job.seq] = again
            self.fair.add(again)
        else:
            assert self.fair.remove(job.id) is not None

    @precondition(lambda self: self.waits)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        job = self.waits.pop(data.draw(st.sampled_from(sorted(self.waits))))
        assert self.fair.remove(job.id) is not None

    @rule(passed_ms=st.sampled_from([1, 250, 5000]))
    def wait(self, passed_ms: int) -> None:
        self.now_ms += passed_ms

    @invariant()
    def counts_agree(self) -> None:
        assert len(self.waits) == len(self.fair)
        assert all(job.id in self.fair for job in (*self.waits.values(), *self.taken.values()))


TestFairQueue = Model.TestCase


@given(st.lists(st.tuples(st.sampled_from(CALLERS), st.sampled_from("xy"), st.integers(1, 3)), max_size=60))
def test_order_within_a_conversation_is_order_of_acceptance(shapes: list[tuple[str, str, int]]) -> None:
    fair = FairQueue[Waiting]()
    for seq, (caller, conversation_id, priority) in enumerate(shapes):
        fair.add(_job(seq, caller, priority, conversation_id))
    order = []
    while (job := fair.next(0)) is not None:
        fair.remove(job.id)
        order.append(job)

    assert sorted(job.seq for job in order) == list(range(len(shapes)))
    for key in {(job.caller, job.conversation_id) for job in order}:
        seqs = [job.seq for job in order if (job.caller, job.conversation_id) == key]
        assert sorted(seqs) == seqs


@given(st.integers(0, 8), st.integers(1, 3), st.lists(st.integers(1, 3), min_size=1, max_size=4))
def test_no_job_starves_whatever_keeps_arriving(older: int, priority: int, arrivals: list[int]) -> None:
    fair = FairQueue[Waiting](ageing_s=0.0)
    for seq in range(older):
        fair.add(_job(seq, "a", 3))
    fair.add(_job(older, "victim", priority))
    seq = older
    for _ in range(AGED_TURN * (older + 1)):
        for kind in arrivals:
            seq += 1
            fair.add(_job(seq, f"eager-{seq}", kind))
        job = fair.next(0)
        assert job is not None
        fair.remove(job.id)
        if job.caller == "victim":
            return
    raise AssertionError("it has waited longer than the bound")


def _job(seq: int, caller: str, priority: int, conversation_id: str = "") -> Waiting:
    return Waiting(
        id=f"job-{seq}",
        caller=caller,
        conversation_id=conversation_id,
        priority=priority,
        seq=seq,
        create_ms=0,
        expire_ms=FAR_MS,
        next_attempt_ms=0,
    )
