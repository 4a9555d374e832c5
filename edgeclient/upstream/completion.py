"""The end of the road: one attempt at a chat completion, from a call to its answer.

Encodes the request, exchanges it under the time limits of `patience.py`, and decodes what comes back; pieces of a
stream are handed on while they come. Exactly one `AttemptFinished` per attempt, whatever happens, cancellation
included, and what it shows of the way is told to the uplink: an answer, be it an error, means that the way works.

Whether the provider streams is decided apart from whether the caller does (`wants_stream`): a model that thinks for
minutes is asked to stream, so that silence can be told from work and a broken call costs only what was generated.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from edgeclient.config.schema import UpstreamConfig
from edgeclient.core.call import Call, Delta, Reply
from edgeclient.core.errors import CallError, Reason, Uncertain
from edgeclient.core.events import AttemptFinished
from edgeclient.core.models import ModelSpec
from edgeclient.core.ports import Clock, Observe
from edgeclient.core.route_events import RetryAfterCapped
from edgeclient.core.thinking import thinks
from edgeclient.policy.first_bytes import FirstBytesOfTarget
from edgeclient.policy.pricing import Prices
from edgeclient.upstream.answer import Completion, decode_answer
from edgeclient.upstream.exchange import FIRST_ERROR_STATUS, Incoming, Outgoing
from edgeclient.upstream.patience import Patience
from edgeclient.upstream.refusal import refusal
from edgeclient.upstream.request_codec import encode_request, wants_stream
from edgeclient.upstream.stream import StreamDecoder
from edgeclient.upstream.transport import Transport
from edgeclient.upstream.uplink import UplinkWatch
from edgeclient.v1 import chat_pb2

_ON_THE_WIRE = 64  # a token in its event of JSON, against the token alone: the decoder counts the text, this the bytes


class Upstream:
    """A handler that asks the provider once.

    Args:
        config: Name of the target and the time limits.
        transport: The way there.
        observe: Takes `AttemptFinished` and `RetryAfterCapped`.
        clock: Measures.
        uplink: Is told what each attempt shows about the way.
        prices: Prices the answers; None: they have no price.
        serves: Name at this target of the model with an id; None: each by its id. Only models that it serves are asked.
    """

    def __init__(
        self,
        config: UpstreamConfig,
        transport: Transport,
        *,
        observe: Observe,
        clock: Clock,
        uplink: UplinkWatch,
        prices: Prices | None = None,
        serves: Callable[[str], str | None] | None = None,
    ) -> None:
        self.config = config
        self.transport = transport
        self.clock = clock
        self._observe = observe
        self._uplink = uplink
        self._prices = prices
        self._serves = serves
        self.first_bytes = FirstBytesOfTarget()

    async def __call__(self, call: Call) -> Reply:
        """Answer the call by one attempt, or raise what happened to it."""
        if call.model is None:
            raise RuntimeError("the validation stage sets the model of every call")
        call.attempt_count += 1
        call.target = self.config.name
        attempt = _Attempt(self, call, call.model, name=self._name_of(call.model))
        maybe_paid = call.maybe_paid
        try:
            reply = await attempt.run()
        except CallError as error:
            call.maybe_paid = maybe_paid or error.possibly_billed
            error.reword(self.transport.reword)
            self._told(attempt, error)
            attempt.reason = error.reason_name
            attempt.possibly_billed = error.possibly_billed
            raise
        except asyncio.CancelledError:
            attempt.reason = "CANCELLED"
            attempt.possibly_billed = attempt.sent_s is not None
            raise
        except BaseException:
            attempt.reason = "INTERNAL"
            raise
        else:
            self._uplink.answered()
            self._price(reply.response, attempt)
            attempt.usage = reply.response.usage
        finally:
            self._finish(attempt)
        return reply

    def capped(self, told_s: float, kept_s: float) -> None:
        """The provider wants to be asked again so late that it is not believed."""
        self._observe(RetryAfterCapped(target=self.config.name, told_s=told_s, kept_s=kept_s))

    def _name_of(self, model: ModelSpec) -> str:
        name = self._serves(model.id) if self._serves is not None else model.id
        if name is None:
            raise RuntimeError(f"{self.config.name} was asked for {model.id}, which it does not serve")
        return name

    def _told(self, attempt: "_Attempt", error: CallError) -> None:
        """What a failed attempt shows of the way: an error is an answer, and a caller's deadline shows nothing."""
        portal = error.reason == Reason.ERROR_REASON_UPLINK_OFFLINE
        if attempt.http_status >= FIRST_ERROR_STATUS and not portal:
            self._uplink.answered()
        elif error.reason in _LOST or (not attempt.http_status and error.reason in _NOT_REACHED):
            self._uplink.lost(error.reason_name, error.summary)
        elif attempt.http_status:
            self._uplink.answered()

    def _finish(self, attempt: "_Attempt") -> None:
        now_s = self.clock.monotonic_s()
        if attempt.sent_s is not None:
            attempt.call.upstream_s += now_s - attempt.sent_s
        self._observe(
            AttemptFinished(
                call_id=attempt.call.id,
                target=self.config.name,
                model=attempt.model.id,
                reason=attempt.reason,
                http_status=attempt.http_status,
                upstream_code=attempt.upstream_code,
                protocol=attempt.protocol,
                duration_s=now_s - attempt.begun_s,
                first_byte_s=attempt.first_byte_s,
                caller=attempt.call.caller,
                possibly_billed=attempt.possibly_billed,
                prompt_tokens=attempt.usage.prompt_tokens,
                completion_tokens=attempt.usage.completion_tokens,
                cached_tokens=attempt.usage.cached_tokens,
                reasoning_tokens=attempt.usage.reasoning_tokens,
                cost_nanos=attempt.usage.cost_nanos,
                currency_code=attempt.usage.currency_code,
            )
        )

    def _price(self, response: chat_pb2.ChatResponse, attempt: "_Attempt") -> None:
        """Add what it cost: by the model that the provider names, which may be a dated one of the model asked."""
        if self._prices is None or not response.HasField("usage"):
            return
        usage, model = response.usage, attempt.model
        cost = self._prices.cost(
            model.id if response.model == attempt.there.id else response.model,
            usage.prompt_tokens,
            usage.cached_tokens,
            usage.completion_tokens,
            thinking=thinks(attempt.call.request.thinking, model),
        )
        if cost is not None:
            usage.cost_nanos = cost.nanos
            usage.currency_code = cost.currency


_LOST = frozenset(
    {
        Reason.ERROR_REASON_UPLINK_OFFLINE,
        Reason.ERROR_REASON_UPSTREAM_TIMEOUT,
        Reason.ERROR_REASON_UPSTREAM_INTERRUPTED,
    }
)
_NOT_REACHED = frozenset({Reason.ERROR_REASON_UPSTREAM_UNAVAILABLE})


class _Attempt:
    """One request, and what is known about it so far."""

    __slots__ = (
        "_first_bytes",
        "_patience",
        "_streamed",
        "_upstream",
        "begun_s",
        "call",
        "first_byte_s",
        "http_status",
        "model",
        "possibly_billed",
        "protocol",
        "reason",
        "sent_s",
        "there",
        "upstream_code",
        "usage",
    )

    def __init__(self, upstream: Upstream, call: Call, model: ModelSpec, *, name: str) -> None:
        self._upstream = upstream
        self.call = call
        self.model = model
        self.there = model if name == model.id else replace(model, id=name)
        self.begun_s = upstream.clock.monotonic_s()
        self.sent_s: float | None = None
        self.first_byte_s: float | None = None
        self.http_status = 0
        self.possibly_billed = False
        self.protocol = ""
        self.reason = ""
        self.upstream_code = ""
        self.usage = chat_pb2.Usage()
        self._streamed = wants_stream(call.request, model, caller_streams=call.emit is not None)
        self._first_bytes = upstream.first_bytes.of(model.id, streamed=self._streamed)
        self._patience = Patience(
            upstream.config,
            call=call,
            now_s=self.begun_s,
            streamed=self._streamed,
            is_overdue=self._first_bytes.is_overdue,
        )

    async def run(self) -> Reply:
        """Ask and decode, within the limits."""
        outgoing = Outgoing(
            method="POST",
            path="/chat/completions",
            body=encode_request(self.call.request, self.model, stream=self._streamed, name=self.there.id),
            streamed=self._streamed,
            request_id=self.call.id,
            on_sent=self._on_sent,
        )
        async with self._patience, self._upstream.transport.exchange(outgoing) as incoming:
            self._patience.answered()
            self.http_status = incoming.status
            self.protocol = incoming.protocol
            self.first_byte_s = self._upstream.clock.monotonic_s() - self.begun_s
            if incoming.is_refusal:
                wall_s = self._upstream.clock.wall_s()
                error, self.upstream_code = await refusal(incoming, wall_s=wall_s, capped=self._upstream.capped)
                raise error
            self._first_bytes.learn(self._patience.waited_s)
            completion = await (self._read_pieces(incoming) if self._streamed else self._read_whole(incoming))
            response = completion.response
            response.target = self.call.target
            response.attempt_count = self.call.attempt_count
            return Reply(response=response, upstream_request_id=incoming.header("x-request-id"))

    def _on_sent(self) -> None:
        self.sent_s = self._upstream.clock.monotonic_s()
        self.call.maybe_paid = True
        self._patience.sent()

    async def _read_whole(self, incoming: Incoming) -> Completion:
        pieces: list[bytes] = []
        left_bytes = self._upstream.config.max_response_bytes
        while piece := await incoming.read():
            left_bytes -= len(piece)
            self._check_room(left_bytes)
            pieces.append(piece)
        body, include_reasoning = b"".join(pieces), self.call.request.include_reasoning
        return decode_answer(body, model=self.there, include_reasoning=include_reasoning)

    async def _read_pieces(self, incoming: Incoming) -> Completion:
        limit_bytes = self._upstream.config.max_response_bytes
        left_bytes = _ON_THE_WIRE * limit_bytes
        decoder = StreamDecoder(
            model=self.there, include_reasoning=self.call.request.include_reasoning, limit_bytes=limit_bytes
        )
        while chunk := await incoming.read():
            left_bytes -= len(chunk)
            self._check_room(left_bytes)
            delta = decoder.feed(chunk)
            if decoder.produced:
                self._patience.heard()
            if delta is not None:
                await self._hand_on(delta, decoder.model)
        completion = decoder.finish()
        if completion.rest is not None:
            await self._hand_on(completion.rest, completion.response.model)
        return completion

    async def _hand_on(self, delta: Delta, served_as: str) -> None:
        """Give a piece to the caller; as long as it takes it, the provider's silence is not its fault."""
        call = self.call
        call.served_as = served_as
        if not call.first_piece_at_s:
            call.first_piece_at_s = self._upstream.clock.monotonic_s()
        if call.emit is not None:
            call.committed = True
            self._patience.hold()
            await call.emit(delta)
            self._patience.heard()

    def _check_room(self, left_bytes: int) -> None:
        if left_bytes < 0:
            limit_bytes = self._upstream.config.max_response_bytes
            raise Uncertain(
                Reason.ERROR_REASON_UPSTREAM_BAD_RESPONSE,
                f"The provider's answer is longer than upstream.max_response_bytes, {limit_bytes}",
            )
