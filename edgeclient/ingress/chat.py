"""ChatService: one conversation at once, in pieces, or many in one RPC.

All three are one operation, `_answer`: make a `Call`, send it down the road, report how it ended. They differ in
delivery alone. A caller that leaves cancels its call: nothing here outlives the RPC.
"""

import asyncio
from collections.abc import Callable

from edgeclient.config.schema import IngressConfig
from edgeclient.core.call import Call, Handler, Reply
from edgeclient.core.companion import companion
from edgeclient.core.deadline import Deadline
from edgeclient.core.errors import CallError, Rejected, Violation, reason_name
from edgeclient.core.events import CallFinished
from edgeclient.core.identifiers import new_identifier
from edgeclient.core.ports import Clock, Observe
from edgeclient.ingress import status
from edgeclient.ingress.gate import Gate
from edgeclient.ingress.inbound import Inbound, Send
from edgeclient.ingress.pieces import PieceWriter
from edgeclient.v1 import chat_pb2, error_pb2

_FINISH_REASONS = {
    number: name.removeprefix("FINISH_REASON_").lower() for name, number in chat_pb2.FinishReason.items()
}
_SOURCES = {number: name.removeprefix("RESPONSE_SOURCE_").lower() for name, number in chat_pb2.ResponseSource.items()}


class ChatService:
    """Serves `edgeclient.v1.ChatService`.

    Args:
        road: Answers a call.
        gate: Limits the chats in progress; a BatchChat counts as one, its conversations have a limit of their own.
        config: Time budgets, sizes and intervals.
        clock: Time.
        observe: Takes one `CallFinished` for each conversation.
        random: Uniform in [0, 1); spreads the retry delays told to callers.
    """

    def __init__(
        self,
        *,
        road: Handler,
        gate: Gate,
        config: IngressConfig,
        clock: Clock,
        observe: Observe,
        random: Callable[[], float],
    ) -> None:
        self._road = road
        self._gate = gate
        self._config = config
        self._clock = clock
        self._observe = observe
        self._random = random

    async def chat(self, request: chat_pb2.ChatRequest, inbound: Inbound) -> chat_pb2.ChatResponse:
        """Answer one conversation with one message."""
        with self._gate.enter(inbound.caller):
            call = self._call(request, inbound, call_id=inbound.request_id)
            reply = await self._answer(call, inbound.arrived_s, method="Chat")
        return reply.response

    async def stream_chat(self, request: chat_pb2.ChatRequest, inbound: Inbound, send: Send) -> None:
        """Deliver the answer while it is generated."""
        with self._gate.enter(inbound.caller):
            call = self._call(request, inbound, call_id=inbound.request_id)
            writer = PieceWriter(
                send,
                call=call,
                clock=self._clock,
                flush_interval_s=self._flush_interval_s(request),
                heartbeat_s=self._config.heartbeat_s,
            )
            call.emit = writer.write
            async with companion(writer.keep_alive(), name=f"keep-alive {call.id}"):
                reply = await self._answer(call, inbound.arrived_s, method="StreamChat")
                await writer.finish(reply)

    async def batch_chat(self, batch: chat_pb2.BatchChatRequest, inbound: Inbound, send: Send) -> None:
        """Answer many conversations, each as soon as it is ready and each exactly once."""
        self._check(batch)
        turn = asyncio.Lock()  # the wire takes one message at a time
        indexes = iter(range(len(batch.requests)))

        async def work() -> None:
            for index in indexes:  # shared: each index is taken by one worker
                result = await self._item(batch, index, inbound)
                async with turn:
                    await send(result)

        with self._gate.enter(inbound.caller):
            async with asyncio.TaskGroup() as group:
                for number in range(min(len(batch.requests), self._config.batch_concurrency)):
                    group.create_task(work(), name=f"batch {inbound.request_id} worker {number}")

    def _check(self, batch: chat_pb2.BatchChatRequest) -> None:
        most = self._config.max_batch_items
        problems = []
        if not batch.requests:
            problems.append(Violation(field="requests", description="is empty; give at least one conversation"))
        if len(batch.requests) > most:
            description = f"holds {len(batch.requests)} conversations; this node takes at most {most}"
            problems.append(Violation(field="requests", description=description))
        if batch.defaults.idempotency_key:
            description = "would be shared by all conversations; give each one its own"
            problems.append(Violation(field="defaults.idempotency_key", description=description))
        if problems:
            sentence = "; ".join(f"{problem.field}: {problem.description}" for problem in problems)
            raise Rejected(error_pb2.ERROR_REASON_INVALID_REQUEST, sentence, violations=problems)

    async def _item(self, batch: chat_pb2.BatchChatRequest, index: int, inbound: Inbound) -> chat_pb2.BatchChatResponse:
        request = chat_pb2.ChatRequest()
        request.CopyFrom(batch.defaults)
        request.MergeFrom(batch.requests[index])
        arrived_s = self._clock.monotonic_s()
        call = self._call(request, inbound, call_id=new_identifier(now_ms=int(self._clock.wall_s() * 1000)))
        try:
            reply = await self._answer(call, arrived_s, method="BatchChat")
        except CallError as error:
            mirror = status.in_band(error, random=self._random)
            return chat_pb2.BatchChatResponse(index=index, error=mirror)
        return chat_pb2.BatchChatResponse(index=index, response=reply.response)

    def _call(self, request: chat_pb2.ChatRequest, inbound: Inbound, *, call_id: str) -> Call:
        return Call(
            id=call_id,
            request=request,
            caller=inbound.caller,
            deadline=min(inbound.deadline, self._budget(request)),
        )

    def _budget(self, request: chat_pb2.ChatRequest) -> Deadline:
        """The time budget that the request asks for; whether it may ask for that much is a matter of validation."""
        budget_s = self._config.default_timeout_s
        if request.HasField("timeout"):
            asked_s = request.timeout.seconds + request.timeout.nanos / 1e9
            budget_s = min(max(asked_s, 0.0), self._config.max_timeout_s)
        return Deadline.after(budget_s, now_s=self._clock.monotonic_s())

    def _flush_interval_s(self, request: chat_pb2.ChatRequest) -> float:
        if not request.HasField("stream_flush_interval"):
            return self._config.flush_interval_s
        return request.stream_flush_interval.seconds + request.stream_flush_interval.nanos / 1e9

    async def _answer(self, call: Call, arrived_s: float, *, method: str) -> Reply:
        """Send a call down the road and report how it ended, whatever happens."""
        try:
            reply = await self._road(call)
        except CallError as error:
            self._report(call, arrived_s, method, error=error)
            raise
        except asyncio.CancelledError:
            self._report(call, arrived_s, method, error=self._departure(call))
            raise
        except Exception:
            defect = CallError(error_pb2.ERROR_REASON_INTERNAL, "a defect of the node")
            self._report(call, arrived_s, method, error=defect)
            raise
        reply.response.id = call.id
        self._report(call, arrived_s, method, reply=reply)
        return reply

    def _departure(self, call: Call) -> CallError:
        """Why a call was cancelled: its time was over, or the caller left. Either way the provider may have worked."""
        over = call.deadline.has_passed(self._clock.monotonic_s())
        reason = error_pb2.ERROR_REASON_DEADLINE if over else error_pb2.ERROR_REASON_CANCELLED
        return CallError(reason, "the caller stopped waiting", possibly_billed=call.attempt_count > 0)

    def _report(
        self, call: Call, arrived_s: float, method: str, *, reply: Reply | None = None, error: CallError | None = None
    ) -> None:
        response = reply.response if reply else chat_pb2.ChatResponse()
        usage = response.usage if not call.shared else chat_pb2.Usage()  # what is paid for elsewhere is counted there
        queued = bool(response.job_id)
        self._observe(
            CallFinished(
                call_id=call.id,
                caller=call.caller,
                method=method,
                model=call.model.id if call.model else "",
                target=call.target,
                reason=reason_name(error.reason) if error else "",
                code=status.code_name(status.code_of(error)) if error else "OK",
                finish_reason="" if error or queued else _FINISH_REASONS[response.finish_reason],
                source="" if error or queued else _SOURCES[response.source],
                attempt_count=call.attempt_count,
                duration_s=self._clock.monotonic_s() - arrived_s,
                upstream_s=call.upstream_s,
                first_piece_s=call.first_piece_at_s - arrived_s if call.first_piece_at_s else None,
                prompt_tokens=usage.prompt_tokens,
                completion_tokens=usage.completion_tokens,
                cached_tokens=usage.cached_tokens,
                reasoning_tokens=usage.reasoning_tokens,
                cost_nanos=usage.cost_nanos,
                currency_code=usage.currency_code,
                possibly_billed=error.possibly_billed if error else False,
                message=error.summary if error else "",
                upstream_request_id=reply.upstream_request_id if reply else "",
            )
        )
