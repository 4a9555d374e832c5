"""Which jobs go out at half price, and in which company.

A job may if its caller has said that it can wait, it has the lowest priority, it belongs to no conversation (the lines
of a batch have no order), and the provider's interface serves its model and the form of its answer. Two switches rather
than one, because the lowest priority is also for work that is merely less urgent and yet wants its answer today.

A batch takes up to a day or more, so a job has to have so much of its ttl left, and something in reserve for the
ordinary road should the batch give nothing. Jobs that wait collect company of their model for a while; too few of them,
and those that have too little time, go the ordinary road.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Protocol

from edgeclient.core.models import ModelSpec
from edgeclient.core.thinking import thinks
from edgeclient.v1 import chat_pb2

LEAST_WINDOW_H = 24
MOST_WINDOW_H = 336
_HOUR_S = 3600.0
DOCUMENTED = frozenset(
    {
        "qwen3.8-max",
        "qwen3.8-flash",
        "qwen3.7-max",
        "qwen3.7-plus",
        "qwen3.7-flash",
        "qwen3.6-plus",
        "qwen3.6-flash",
        "qwen3.5-plus",
        "qwen3.5-flash",
        "qwen-plus",
        "qwen-flash",
        "qwen3-vl-plus",
    }
)
"""Models that both half-price interfaces are documented to serve in Beijing (October 2026)."""


class Rules(Protocol):
    """The section `half_price`."""

    @property
    def mode(self) -> str:
        """`off`, `file` or `chat`."""
        ...

    @property
    def models(self) -> Sequence[str]:
        """Ids of models that are sent so; none: those that are documented."""
        ...

    @property
    def min_lines(self) -> int:
        """Fewest jobs that are worth a batch."""
        ...

    @property
    def max_lines(self) -> int:
        """Most jobs of a batch."""
        ...

    @property
    def max_bytes(self) -> int:
        """Largest file."""
        ...

    @property
    def max_line_bytes(self) -> int:
        """Largest line."""
        ...

    @property
    def linger_s(self) -> float:
        """How long jobs collect company."""
        ...

    @property
    def completion_window_h(self) -> int:
        """Longest time that the provider is given."""
        ...

    @property
    def default_ttl_s(self) -> float:
        """Ttl of a job that can wait and names none."""
        ...

    @property
    def reserve_s(self) -> float:
        """Part of the ttl that is left for the ordinary road."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A job that waits for company.

    Attributes:
        id: Which.
        model: Id of its model.
        size_bytes: Of its line.
        since_s: Since when it waits, on the monotonic clock.
        left_s: Time until its ttl is over.
    """

    id: str
    model: str
    size_bytes: int
    since_s: float
    left_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Company:
    """Jobs that go out together.

    Attributes:
        model: Their model.
        window_h: The time that the provider is given, in hours.
        ids: Which; in order of acceptance.
    """

    model: str
    window_h: int
    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grouping:
    """What is to be done with those that wait.

    Attributes:
        companies: These go out now.
        live: These go the ordinary road, each with the word why: `ttl`, `size` or `alone`.
        due_s: When to look again, on the monotonic clock; `inf`: nobody is left.
    """

    companies: tuple[Company, ...]
    live: tuple[tuple[str, str], ...]
    due_s: float


class Deferring:
    """Decides at the acceptance of a job.

    Args:
        rules: The section `half_price`.
    """

    def __init__(self, rules: Rules) -> None:
        self._rules = rules

    def ttl_s(self, request: chat_pb2.ChatRequest, *, otherwise_s: float, most_s: float) -> float:
        """What a job whose caller can wait gets that names no ttl: time for a batch, if it may go out in one."""
        fits = self._rules.mode == "file" and _may_wait(request)
        return min(max(self._rules.default_ttl_s, otherwise_s), most_s) if fits else otherwise_s

    def defers(self, request: chat_pb2.ChatRequest, model: ModelSpec, *, ttl_s: float) -> bool:
        """Whether such a job waits for half price."""
        rules = self._rules
        return (
            rules.mode != "off"
            and _may_wait(request)
            and is_served(request, model, rules)
            and (rules.mode == "chat" or ttl_s >= shortest_ttl_s(rules))
        )


def _may_wait(request: chat_pb2.ChatRequest) -> bool:
    return request.priority == chat_pb2.PRIORITY_LOW and not request.conversation_id


def is_served(request: chat_pb2.ChatRequest, model: ModelSpec, rules: Rules) -> bool:
    """Whether the half-price interfaces, none of which streams, can answer it."""
    streams = model.stream_only or (model.thinking_needs_stream and thinks(request.thinking, model))
    return model.id in (rules.models or DOCUMENTED) and not streams


def shortest_ttl_s(rules: Rules) -> float:
    """The ttl below which a job cannot wait for a batch."""
    return LEAST_WINDOW_H * _HOUR_S + rules.linger_s + rules.reserve_s


def grouped(candidates: Iterable[Candidate], rules: Rules, *, now_s: float) -> Grouping:
    """Divide those that wait.

    Args:
        candidates: In order of acceptance.
        rules: Limits.
        now_s: The present time on the monotonic clock.
    """
    live: list[tuple[str, str]] = []
    by_model: dict[str, list[Candidate]] = {}
    for each in candidates:
        if each.left_s < LEAST_WINDOW_H * _HOUR_S + rules.reserve_s:
            live.append((each.id, "ttl"))
        elif each.size_bytes > min(rules.max_line_bytes, rules.max_bytes):
            live.append((each.id, "size"))
        else:
            by_model.setdefault(each.model, []).append(each)
    companies: list[Company] = []
    due_s = inf
    for model, waiting in by_model.items():
        *full, last = _files(waiting, rules)
        companies += [_company(model, file, rules) for file in full]
        ready_s = min(each.since_s for each in last) + rules.linger_s
        if ready_s > now_s and len(last) < rules.max_lines:
            due_s = min(due_s, ready_s)
        elif len(last) >= rules.min_lines:
            companies.append(_company(model, last, rules))
        else:
            live += [(each.id, "alone") for each in last]
    return Grouping(companies=tuple(companies), live=tuple(live), due_s=due_s)


def _files(waiting: Iterable[Candidate], rules: Rules) -> list[list[Candidate]]:
    """In files that keep the limits; all but the last are full."""
    files: list[list[Candidate]] = [[]]
    size_bytes = 0
    for each in waiting:
        if len(files[-1]) >= rules.max_lines or size_bytes + each.size_bytes > rules.max_bytes:
            files.append([])
            size_bytes = 0
        files[-1].append(each)
        size_bytes += each.size_bytes
    return files


def _company(model: str, file: list[Candidate], rules: Rules) -> Company:
    left_s = min(each.left_s for each in file) - rules.reserve_s
    window_h = min(int(left_s / _HOUR_S), rules.completion_window_h)
    return Company(model=model, window_h=max(LEAST_WINDOW_H, window_h), ids=tuple(each.id for each in file))
