"""Whether a target is asked, decided from facts.

    fact               CLOSED     OPEN       HALF_OPEN
    ANSWERED           CLOSED     OPEN       HALF_OPEN      an attempt got an answer, be it a refusal
    FAILED             CLOSED     OPEN       HALF_OPEN      an attempt got none, or the target's own fault as one
    FAILED_TOO_OFTEN   OPEN       OPEN       HALF_OPEN      the fifth in a row, or half of the last twenty
    PROBE_ANSWERED     CLOSED     HALF_OPEN  HALF_OPEN      after the rest, something free of charge got an answer
    PROBE_LOST         CLOSED     OPEN       OPEN
    TRIAL_ANSWERED     CLOSED     CLOSED     CLOSED         the one call that tried has got an answer
    TRIAL_FAILED       OPEN       OPEN       OPEN

What ordinary attempts show while it is not closed was begun before, so the trial decides. The trial is one call at a
time; one that takes longer than the rest before it no longer keeps others from trying.

Attempts share a connection, and when it breaks they fail together. So a failure within a second of another one, of an
attempt that had begun before that, belongs to the same incident and does not count again: fifty calls that die with
their connection do not make a target rest.

Rests double from 2 s to 60 s, spread by a quarter, for nodes of one site fail in step. They begin anew once twenty
outcomes were seen without another rest.
"""

from collections import deque
from enum import Enum
from math import inf
from types import MappingProxyType

from edgeclient.core.route_events import Breaker

IN_A_ROW = 5
WINDOW = 20
INCIDENT_S = 1.0
FIRST_REST_S = 2.0
LONGEST_REST_S = 60.0
_SPREAD = 0.25
_MOST_DOUBLINGS = 8  # the longest rest is reached long before


class Fact(Enum):
    """What was seen of a target."""

    ANSWERED = "answered"
    FAILED = "failed"
    FAILED_TOO_OFTEN = "failed too often"
    PROBE_ANSWERED = "probe answered"
    PROBE_LOST = "probe lost"
    TRIAL_ANSWERED = "trial answered"
    TRIAL_FAILED = "trial failed"


TRANSITIONS = MappingProxyType(
    {
        (Breaker.CLOSED, Fact.ANSWERED): Breaker.CLOSED,
        (Breaker.CLOSED, Fact.FAILED): Breaker.CLOSED,
        (Breaker.CLOSED, Fact.FAILED_TOO_OFTEN): Breaker.OPEN,
        (Breaker.CLOSED, Fact.PROBE_ANSWERED): Breaker.CLOSED,
        (Breaker.CLOSED, Fact.PROBE_LOST): Breaker.CLOSED,
        (Breaker.CLOSED, Fact.TRIAL_ANSWERED): Breaker.CLOSED,
        (Breaker.CLOSED, Fact.TRIAL_FAILED): Breaker.OPEN,
        (Breaker.OPEN, Fact.ANSWERED): Breaker.OPEN,
        (Breaker.OPEN, Fact.FAILED): Breaker.OPEN,
        (Breaker.OPEN, Fact.FAILED_TOO_OFTEN): Breaker.OPEN,
        (Breaker.OPEN, Fact.PROBE_ANSWERED): Breaker.HALF_OPEN,
        (Breaker.OPEN, Fact.PROBE_LOST): Breaker.OPEN,
        (Breaker.OPEN, Fact.TRIAL_ANSWERED): Breaker.CLOSED,
        (Breaker.OPEN, Fact.TRIAL_FAILED): Breaker.OPEN,
        (Breaker.HALF_OPEN, Fact.ANSWERED): Breaker.HALF_OPEN,
        (Breaker.HALF_OPEN, Fact.FAILED): Breaker.HALF_OPEN,
        (Breaker.HALF_OPEN, Fact.FAILED_TOO_OFTEN): Breaker.HALF_OPEN,
        (Breaker.HALF_OPEN, Fact.PROBE_ANSWERED): Breaker.HALF_OPEN,
        (Breaker.HALF_OPEN, Fact.PROBE_LOST): Breaker.OPEN,
        (Breaker.HALF_OPEN, Fact.TRIAL_ANSWERED): Breaker.CLOSED,
        (Breaker.HALF_OPEN, Fact.TRIAL_FAILED): Breaker.OPEN,
    }
)


class TargetBreaker:
    """Holds the state of one target, and counts what the table cannot; see the module. Reads no clock.

    Attributes:
        state: The present state.
        rest_s: Length of the present rest, or the last one.
        rested_s: When the rest is over and the target may be probed; `inf` while it does not rest.
    """

    __slots__ = (
        "_failed_row",
        "_incident_s",
        "_outcomes",
        "_rest_count",
        "_trial",
        "_trial_over_s",
        "rest_s",
        "rested_s",
        "state",
    )

    def __init__(self) -> None:
        self.state = Breaker.CLOSED
        self.rest_s = 0.0
        self.rested_s = inf
        self._failed_row = 0
        self._incident_s = -inf
        self._outcomes: deque[bool] = deque(maxlen=WINDOW)  # True: failed
        self._rest_count = 0
        self._trial = 0
        self._trial_over_s = -inf

    def __repr__(self) -> str:
        return f"<TargetBreaker {self.state.value}, {self._failed_row} failures in a row>"

    def admits(self, now_s: float) -> bool:
        """Whether a call may begin an attempt now."""
        if self.state is Breaker.CLOSED:
            return True
        return self.state is Breaker.HALF_OPEN and now_s >= self._trial_over_s

    def begin(self, now_s: float) -> int:
        """Begin an attempt that `admits` permits; returns the number of the trial that it is, 0 for an ordinary one."""
        if self.state is not Breaker.HALF_OPEN:
            return 0
        self._trial += 1
        self._trial_over_s = now_s + self.rest_s
        return self._trial

    def answered(self, trial: int = 0) -> None:
        """An attempt got an answer, be it a refusal; `trial` as returned by `begin`."""
        if trial and self._is_present(trial):
            self._outcomes.clear()
            self._failed_row = 0
            self._move(Fact.TRIAL_ANSWERED)
            return
        self._failed_row = 0
        self._outcomes.append(False)
        if self._rest_count and len(self._outcomes) == WINDOW and self.state is Breaker.CLOSED:
            self._rest_count = 0
        # By the table this changes no state, so it is not looked up: it is on the road of every call.

    def failed(self, *, begun_s: float, now_s: float, draw: float, trial: int = 0) -> None:
        """An attempt got no answer, or the target's own fault as one.

        Args:
            begun_s: When it began.
            now_s: The present moment.
            draw: A random number from [0, 1), for the length of the rest.
            trial: As returned by `begin`.
        """
        if self._is_present(trial):
            self._move(Fact.TRIAL_FAILED)
            self._rest(now_s, draw)
            return
        if begun_s <= self._incident_s and now_s - self._incident_s < INCIDENT_S:
            return
        self._incident_s = now_s
        self._failed_row += 1
        self._outcomes.append(True)
        before = self.state
        if self._move(Fact.FAILED_TOO_OFTEN if self._too_often() else Fact.FAILED) is not before:
            self._rest(now_s, draw)

    def left(self, trial: int) -> None:
        """An attempt has ended and shows nothing of the target: its caller has gone, or nothing was sent."""
        if self._is_present(trial):
            self._trial_over_s = -inf

    def probe_answered(self) -> None:
        """Something that is free of charge got an answer."""
        if self._move(Fact.PROBE_ANSWERED) is Breaker.HALF_OPEN:
            self.rested_s = inf

    def probe_lost(self, *, now_s: float, draw: float) -> None:
        """It got none."""
        if self._move(Fact.PROBE_LOST) is Breaker.OPEN:
            self._rest(now_s, draw)

    def opens_in_s(self, now_s: float) -> float:
        """How long until it may be worth asking; 0.0: now."""
        if self.state is Breaker.OPEN:
            return max(0.0, self.rested_s - now_s)
        return 0.0 if self.admits(now_s) else max(0.0, self._trial_over_s - now_s)

    def _is_present(self, trial: int) -> bool:
        return trial > 0 and trial == self._trial and self.state is Breaker.HALF_OPEN

    def _too_often(self) -> bool:
        return self._failed_row >= IN_A_ROW or (len(self._outcomes) == WINDOW and 2 * sum(self._outcomes) >= WINDOW)

    def _rest(self, now_s: float, draw: float) -> None:
        rest_s = min(LONGEST_REST_S, FIRST_REST_S * float(1 << min(self._rest_count, _MOST_DOUBLINGS)))
        self._rest_count += 1
        self.rest_s = rest_s * (1 + _SPREAD * (2 * draw - 1))
        self.rested_s = now_s + self.rest_s
        self._trial_over_s = -inf
        self._failed_row = 0
        self._outcomes.clear()

    def _move(self, fact: Fact) -> Breaker:
        self.state = TRANSITIONS[self.state, fact]
        return self.state
