"""Fault rules: which requests they hit and what happens to them.

A rule counts the requests that match its filters (`model`, `path`, `method`, `call`, `stream`, `text`, `custom_id`,
`line`, the period) and then decides by `nth`, `every`, `probability` and `count` whether this one is hit. The first
rule that hits wins, in the order in which the rules were added; every rule counts every request it matches, hit or not,
so adding a rule behind another never shifts the numbers of the first. Probabilities come from the simulator's seed: the
same requests meet the same faults.

Lines of a batch file are requests like others: `call = "batch_file"` finds them alone, `call = "live"` leaves them out.
`text` is looked for in the conversation, and in the whole body of what is no chat, an upload too.

`kind` names an error of the table in `errors` or an effect of `EFFECTS`; `edgeclient sim --list-faults` prints both.
"""

from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from random import Random
from typing import Final, Protocol

import msgspec

from .errors import ERRORS, Shape
from .exchange import H2_ERROR_CODES
from .origin import Kind

EFFECTS: Final = {
    "hang": "Never answers; the connection stays healthy.",
    "delay_headers": "Waits delay_s (default 1) before the head, then answers normally.",
    "slow_first_token": "Sends the head at once and the first token after delay_s (default 1).",
    "slow_chunks": "Waits delay_s (default 1) before every chunk of a stream.",
    "stall": "Goes silent after after_chunks (default 2); for ever, or for delay_s.",
    "cut": "Ends the stream abruptly after after_chunks: RST_STREAM with h2_code (HTTP/1.1: closes).",
    "cut_connection": "Closes the whole connection after after_chunks.",
    "malformed_chunk": "Sends a chunk (or a unary body) that is broken JSON after after_chunks.",
    "no_finish": "Ends properly but without finish_reason, usage and [DONE].",
    "no_done": "Leaves out only the final [DONE].",
    "error_finish": "Ends with finish_reason error_finish.",
    "sse_noise": "Adds comments, id, event and retry lines and CRLF that a client must bear.",
    "empty_answer": "A successful answer without any text.",
    "empty_body": "200 without a body.",
    "huge_body": "200 with a body of size_bytes (default 64 MiB) that means nothing.",
    "wrong_type": "The right answer as text/plain.",
    "goaway": "GOAWAY that lets the open streams finish; then the connection closes. With after_chunks: in mid-stream.",
    "goaway_above": "The same with the highest last-stream-id, as servers announce that they will leave.",
    "goaway_below": "GOAWAY with last-stream-id below this request: it was not processed.",
    "goaway_close": "GOAWAY with h2_code (default ENHANCE_YOUR_CALM), then closes at once.",
    "reset_stream": "RST_STREAM with h2_code (default INTERNAL_ERROR) instead of an answer.",
    "refused_stream": "RST_STREAM with REFUSED_STREAM: the request was not processed.",
    "shrink_streams": "SETTINGS with MAX_CONCURRENT_STREAMS = max_streams (default 1), kept by refusing; then answers.",
    "close": "Closes the connection without an answer.",
    "tcp_reset": "TCP RST without an answer.",
    "black_hole": "The connection is accepted but never read or written again.",
    "captive_portal": "200 with an HTML login page, like a hotel network.",
    "captive_redirect": "302 to a login page.",
}
FAREWELLS: Final = frozenset({"goaway", "goaway_above"})
_AFTER_CHUNKS: Final = 2


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One rule. Filters that are left out match everything."""

    kind: str
    # which requests
    model: str | None = None  # glob
    path: str | None = None  # glob
    method: str | None = None
    call: Kind | None = None  # the way: live, batch_file, batch_chat, management
    custom_id: str | None = None  # of a batch line; glob
    line: int | None = None  # of a batch file, from 1
    stream: bool | None = None
    text: str | None = None  # part of the prompt
    from_s: float = 0  # since the rule was added
    to_s: float | None = None
    nth: int | None = None  # only the n-th that matches, from 1
    every: int | None = None  # every k-th that matches
    probability: float = 1
    count: int | None = None  # at most so many times
    # what happens
    executed: bool = False  # the request is carried out and billed; only its answer meets the effect
    after_chunks: int | None = None  # in a stream; for an error: inside the 200 stream instead of before it
    delay_s: float | None = None
    status: int | None = None  # errors: instead of the table's
    code: str | None = None
    message: str | None = None
    shape: Shape | None = None
    retry_after: str | None = None  # "5", "date:5" (an HTTP date) or "ms:1500" (retry-after-ms)
    h2_code: str | None = None
    max_streams: int | None = None
    size_bytes: int | None = None

    def __post_init__(self) -> None:
        """Refuse a rule that cannot work, naming the field."""
        if self.kind not in EFFECTS and self.kind not in ERRORS:
            raise ValueError(f"kind is {self.kind!r}, must be one of the names of `edgeclient sim --list-faults`")
        if not 0 <= self.probability <= 1:
            raise ValueError(f"probability is {self.probability}, must be between 0 and 1")
        for name, least in (
            ("nth", 1),
            ("every", 1),
            ("count", 1),
            ("max_streams", 0),
            ("after_chunks", 0),
            ("size_bytes", 1),
        ):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"{name} is {value}, must be at least {least}")
        if self.delay_s is not None and self.delay_s < 0:
            raise ValueError(f"delay_s is {self.delay_s}, must not be negative")
        if self.h2_code is not None and self.h2_code not in H2_ERROR_CODES:
            raise ValueError(f"h2_code is {self.h2_code!r}, must be one of {', '.join(H2_ERROR_CODES)}")
        if self.retry_after is not None and not self.retry_after.removeprefix("date:").removeprefix("ms:").isdigit():
            raise ValueError(f"retry_after is {self.retry_after!r}, must be like 5, date:5 or ms:1500")

    @property
    def chunks_before(self) -> int:
        """Chunks of the answer that come before the effect."""
        return _AFTER_CHUNKS if self.after_chunks is None else self.after_chunks

    @property
    def in_stream(self) -> bool:
        """Is it an error, or a GOAWAY, that is to come inside the stream."""
        return self.after_chunks is not None and (self.kind in ERRORS or self.kind in FAREWELLS)

    def wait_s(self, default: float = 1) -> float:
        """The wait of an effect that needs one."""
        return default if self.delay_s is None else self.delay_s

    def concerns(self, facts: "Facts", age_s: float) -> bool:
        """Do the filters let this request through, at this age of the rule."""
        return (
            self.from_s <= age_s
            and (self.to_s is None or age_s < self.to_s)
            and (self.stream is None or self.stream is facts.stream)
            and (self.model is None or fnmatchcase(facts.model, self.model))
            and (self.path is None or fnmatchcase(facts.path, self.path))
            and (self.method is None or self.method == facts.method)
            and (self.call is None or self.call == facts.call)
            and (self.custom_id is None or fnmatchcase(facts.custom_id, self.custom_id))
            and (self.line is None or self.line == facts.line)
            and (self.text is None or self.text in facts.text)
        )

    def h2_number(self, default: str) -> int:
        """The number of `h2_code`."""
        return H2_ERROR_CODES[self.h2_code or default]


class Facts(Protocol):
    """What a rule may look at."""

    @property
    def path(self) -> str: ...  # noqa: D102 - the names say it
    @property
    def model(self) -> str: ...  # noqa: D102 - the same
    @property
    def stream(self) -> bool: ...  # noqa: D102 - the same
    @property
    def text(self) -> str: ...  # noqa: D102 - the same
    @property
    def method(self) -> str: ...  # noqa: D102 - the same
    @property
    def call(self) -> str: ...  # noqa: D102 - the same
    @property
    def custom_id(self) -> str: ...  # noqa: D102 - the same
    @property
    def line(self) -> int | None: ...  # noqa: D102 - the same


@dataclass(slots=True, kw_only=True)
class ArmedFault:
    """A rule in force, with its counts."""

    id: int
    fault: Fault
    since_s: float
    random: Random
    matched: int = 0
    applied: int = 0

    def hits(self, facts: Facts, now_s: float) -> bool:
        """Count the request if it matches; is it hit?"""
        fault, age_s = self.fault, now_s - self.since_s
        if not fault.concerns(facts, age_s):
            return False
        self.matched += 1
        due = (
            (fault.count is None or self.applied < fault.count)
            and (fault.nth is None or self.matched == fault.nth)
            and (fault.every is None or self.matched % fault.every == 0)
        )
        return due and (fault.probability >= 1 or self.random.random() < fault.probability)


class FaultBook:
    """The rules in force."""

    def __init__(self, *, seed: int, clock: Callable[[], float]) -> None:
        self._seed = seed
        self._armed: list[ArmedFault] = []
        self._next_id = 1
        self._clock = clock

    def __len__(self) -> int:
        """How many rules are in force."""
        return len(self._armed)

    def add(self, *faults: Fault) -> list[int]:
        """Put rules in force, behind those that are; gives their ids."""
        ids, now_s = [], self._clock()
        for fault in faults:
            random = Random(f"{self._seed}/fault/{self._next_id}")  # noqa: S311 - repeatable, no secret
            self._armed.append(ArmedFault(id=self._next_id, fault=fault, since_s=now_s, random=random))
            ids.append(self._next_id)
            self._next_id += 1
        return ids

    def clear(self) -> None:
        """No more faults."""
        self._armed.clear()

    def remove(self, fault_id: int) -> bool:
        """Take one rule out of force; False if there is none with this id."""
        before = len(self._armed)
        self._armed = [armed for armed in self._armed if armed.id != fault_id]
        return len(self._armed) < before

    def armed(self) -> list[ArmedFault]:
        """The rules with their counts, in order."""
        return list(self._armed)

    def pick(self, facts: Facts) -> Fault | None:
        """The rule that hits this request."""
        if not self._armed:
            return None
        chosen, now_s = None, self._clock()
        for armed in self._armed:
            if armed.hits(facts, now_s) and chosen is None:
                armed.applied += 1
                chosen = armed
        return None if chosen is None else chosen.fault
