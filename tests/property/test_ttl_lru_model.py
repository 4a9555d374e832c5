"""The memory of the cache against a dictionary with a clock: it may forget early, and never gives what is not true."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from edgeclient.policy.ttl_lru import TtlLru

KEYS = st.sampled_from("abcdefgh")


class TtlLruMachine(RuleBasedStateMachine):
    @initialize(count=st.integers(0, 5), size=st.integers(0, 60), keep_s=st.sampled_from([0.0, 5.0, 50.0]))
    def begin(self, count: int, size: int, keep_s: float) -> None:
        self.lru: TtlLru[str, int] = TtlLru(max_count=count, max_bytes=size, keep_s=keep_s)
        self.bounds = (count, size, keep_s)
        self.model: dict[str, tuple[int, int, float]] = {}
        self.uses: list[str] = []
        self.now_s = 0.0
        self.values = 0

    @rule(duration_s=st.sampled_from([0.0, 1.0, 4.0, 20.0]))
    def pass_by(self, duration_s: float) -> None:
        self.now_s += duration_s

    @rule(key=KEYS, size=st.integers(0, 30), past_s=st.sampled_from([0.0, 3.0, 60.0]))
    def put(self, key: str, size: int, past_s: float) -> None:
        self.values += 1
        before = len(self.lru)
        had = key in self.lru._by_use
        removed = self.lru.put(key, self.values, size_bytes=size, born_s=self.now_s - past_s, now_s=self.now_s)
        self.model[key] = (self.values, size, self.now_s - past_s)
        taken = key in self.lru._by_use
        assert len(self.lru) == before - had + taken - removed.for_age - removed.for_room
        self._used(key)

    @rule(key=KEYS)
    def get(self, key: str) -> None:
        found = self.lru.get(key, now_s=self.now_s)
        if found is not None:
            value, _, born_s = self.model[key]
            assert (value, self.now_s - born_s) == found
            assert found[1] <= self.bounds[2]
            self._used(key)

    @rule(key=KEYS)
    def remove(self, key: str) -> None:
        self.lru.remove(key)
        assert self.lru.get(key, now_s=self.now_s) is None
        self.model.pop(key, None)

    @rule()
    def forget_even_values(self) -> None:
        self.lru.remove_where(lambda value: value % 2 == 0)
        for key, (value, _, _) in list(self.model.items()):
            if value % 2 == 0:
                assert self.lru.get(key, now_s=self.now_s) is None
                del self.model[key]

    @invariant()
    def it_keeps_to_its_bounds(self) -> None:
        if not hasattr(self, "lru"):
            return
        count, size, _ = self.bounds
        assert len(self.lru) <= count
        assert self.lru.size_bytes <= size
        assert self.lru.size_bytes == sum(entry.size_bytes for entry in self.lru._by_use.values())
        assert self.lru._by_use.keys() == self.lru._by_insertion.keys()

    @invariant()
    def who_is_gone_was_used_before_who_is_there(self) -> None:
        """Apart from age and size, what goes is what was used least recently."""
        if not hasattr(self, "lru") or not self.lru._by_use:
            return
        order = [key for key in self.uses if key in self.lru._by_use]
        assert order == list(self.lru._by_use)

    def _used(self, key: str) -> None:
        if key in self.uses:
            self.uses.remove(key)
        self.uses.append(key)


TtlLruMachine.TestCase.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
TestTtlLru = TtlLruMachine.TestCase
