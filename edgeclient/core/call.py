"""What travels on the road: a call, the pieces of its answer, and the answer.

A streamed answer is *pushed* through `Call.emit` piece by piece, and the whole answer still comes back as the return
value. So no stage needs a second shape for streams, and "has the caller seen anything yet" is one fact,
`Call.committed`: before it, retry and fallback are free; after it they are forbidden, because the caller would see two
answers in one.
"""

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Protocol

from edgeclient.core.deadline import Deadline
from edgeclient.core.jobs import Job
from edgeclient.core.models import ModelSpec
from edgeclient.v1 import chat_pb2


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """A piece of a streamed answer. Any part may be empty.

    Attributes:
        content: Next piece of the text.
        reasoning: Next piece of the reasoning.
        tool_calls: Calls that are complete now.
        anew: The answer begins anew with this piece; what was handed on before is not part of it.
    """

    content: str = ""
    reasoning: str = ""
    tool_calls: tuple[chat_pb2.ToolCall, ...] = ()
    anew: bool = False


Emit = Callable[[Delta], Awaitable[None]]
"""Hands a piece to the caller. Awaiting it is the flow control: it returns when the caller's side has taken the
piece."""


@dataclass(slots=True, kw_only=True)
class Call:
    """One request with what travels with it.

    Attributes:
        id: Id of the request at this node, told to the caller as `edge-request-id`.
        request: What the caller asks. A stage that changes it makes a copy.
        caller: Who asks; the partition of everything that is private to a caller.
        deadline: When the caller stops waiting; already clipped by `request.timeout` and the node's own limit.
        joinable: Others may join it while it runs, and then its deadline is put off: who waits for it looks again.
        emit: Takes the pieces of a streamed answer; None for a unary call.
        model: The model that is asked; set by the validation stage, which every call passes.
        committed: A piece has reached the caller.
        target: Name of the target of the present attempt.
        attempt_count: Upstream attempts begun so far.
        possibly_billed_count: Those of them that failed and may have been billed all the same.
        maybe_paid: One of them has left, and it is not certain that it was free.
        not_before_s: Until when an account has asked this call for patience with a model, on the monotonic clock, by
            both; None: none has.
        upstream_s: Time spent waiting for the provider so far.
        first_piece_at_s: When the first piece came from the provider, on the monotonic clock; 0.0: not yet.
        to_job: Makes a stored job of a call with an idempotency key, under its id, and returns that; set by the
            idempotency stage. Only for one that certainly was not billed. None: the call has no key.
        source: Where the answer comes from, told with the first piece of a stream.
        served_as: Name of the model that answers, as its target calls it, told with the first piece; "": that of
            `model`.
        shared: The answer was made for another request and is paid for there.
        asked: The request as the caller sent it, if the validation stage has written it out; None: as it is.
        cache_age_s: Age of a cached answer; None: it is none, or its age is not known.
        background: A stored job: nobody waits on the line, and live calls go first.
        arrival: Its place in the order of arrival, given by the dispatcher at the first attempt; 0: none yet.
        queued_s: Time spent waiting for its turn at the dispatcher so far.
        before_send: Awaited when it is the turn of an attempt, before its first byte leaves; None: nothing is to be
            done. If it raises, nothing leaves, and the turn and what is reserved for it are given back. Awaited for
            each attempt of the call, however many there are.
        after_free: Awaited when an attempt has failed and none so far has cost anything, for certain; None: nothing is
            to be done.
    """

    id: str
    request: chat_pb2.ChatRequest
    caller: str
    deadline: Deadline
    emit: Emit | None = None
    joinable: bool = False
    model: ModelSpec | None = None
    committed: bool = False
    target: str = ""
    attempt_count: int = 0
    possibly_billed_count: int = 0
    maybe_paid: bool = False
    not_before_s: dict[tuple[str, str], float] | None = None
    upstream_s: float = 0.0
    first_piece_at_s: float = 0.0
    to_job: Callable[[], Awaitable[Job]] | None = None
    source: chat_pb2.ResponseSource.ValueType = chat_pb2.RESPONSE_SOURCE_UPSTREAM
    served_as: str = ""
    shared: bool = False
    asked: chat_pb2.ChatRequest | None = None
    cache_age_s: float | None = None
    background: bool = False
    arrival: int = 0
    queued_s: float = 0.0
    before_send: Callable[[], Awaitable[None]] | None = None
    after_free: Callable[[], Awaitable[None]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The whole answer, for unary and streamed calls alike.

    Attributes:
        response: The public answer. `id` is filled in by the ingress.
        upstream_request_id: The provider's `x-request-id`, for the log.
    """

    response: chat_pb2.ChatResponse = field(default_factory=chat_pb2.ChatResponse)
    upstream_request_id: str = ""


class Handler(Protocol):
    """The rest of the road, seen from a stage."""

    async def __call__(self, call: Call, /) -> Reply:
        """Answer the call, or raise a `CallError`."""
        ...


class Stage(Protocol):
    """One decision about a call. Knows neither its neighbours nor gRPC nor HTTP."""

    async def __call__(self, call: Call, forward: Handler, /) -> Reply:
        """Answer the call, with or without `forward`, or raise a `CallError`."""
        ...


def road(*stages: Stage, to: Handler) -> Handler:
    """Join stages in the order in which a call travels them; `to` is the end of the road."""
    handler = to
    for stage in reversed(stages):
        handler = _Joint(stage, handler)
    return handler


class _Joint:
    """A stage together with what comes after it."""

    __slots__ = ("_forward", "_stage")

    def __init__(self, stage: Stage, forward: Handler) -> None:
        self._stage = stage
        self._forward = forward

    def __call__(
        self, call: Call
    ) -> Coroutine[Any, Any, Reply]:  # a plain function: no coroutine of its own per stage and call
        return self._stage(call, self._forward)
