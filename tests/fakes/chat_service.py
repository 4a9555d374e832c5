"""A small node: the generated servicers on a real grpc.aio server, scripted by prompt.

It keeps the public contract (error.proto's three copies, one finish_reason, each batch item exactly once) and knows
nothing of the daemon. By default it echoes; `script` says what else a prompt gets.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn

import grpc
import grpc.aio
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2

from edgeclient.v1 import chat_pb2, chat_pb2_grpc, error_pb2, node_pb2, node_pb2_grpc

REQUEST_ID = "01JTESTREQUEST0000000000000"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fails:
    """The call, or the batch item, ends with this error; `times` says how often before it succeeds."""

    code: grpc.StatusCode
    reason: str
    message: str = "it failed"
    retry_after_s: float | None = None
    possibly_billed: bool = False
    field: str = ""
    times: int = 1_000_000
    with_details: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Says:
    """The answer in these pieces."""

    pieces: tuple[str, ...] = ()
    reasoning: str = ""
    tool_calls: tuple[chat_pb2.ToolCall, ...] = ()
    finish_reason: chat_pb2.FinishReason.ValueType = chat_pb2.FINISH_REASON_STOP
    job_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hangs:
    """After these pieces nothing comes until the call is cancelled."""

    pieces: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaks:
    """After these pieces the stream ends with the error, or with OK and no finish_reason."""

    pieces: tuple[str, ...]
    error: Fails | None


Behaviour = Fails | Says | Hangs | Breaks


@dataclass(kw_only=True)
class FakeNode(chat_pb2_grpc.ChatServiceServicer, node_pb2_grpc.NodeServiceServicer):
    """What it does, and what it saw."""

    script: dict[str, Behaviour] = field(default_factory=dict)
    models: list[node_pb2.Model] = field(default_factory=list)
    limits: node_pb2.Limits = field(
        default_factory=lambda: node_pb2.Limits(
            max_batch_item_count=3, max_request_bytes=4 << 20, idempotency_window=Duration(seconds=60)
        )
    )
    requests: list[chat_pb2.ChatRequest] = field(default_factory=list)
    batches: list[chat_pb2.BatchChatRequest] = field(default_factory=list)
    metadata: list[dict[str, str | bytes]] = field(default_factory=list)
    deadlines_s: list[float] = field(default_factory=list)
    batch_error: Fails | None = None
    hanging: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    failures: dict[str, int] = field(default_factory=dict)

    async def Chat(self, request: chat_pb2.ChatRequest, context: Any) -> chat_pb2.ChatResponse:  # noqa: N802  gRPC's name
        behaviour = self._seen(request, context)
        if isinstance(behaviour, Hangs):
            await self._hang()
        if isinstance(behaviour, Fails):
            await abort(context, behaviour)
        assert isinstance(behaviour, Says)
        return answer(request, behaviour)

    async def StreamChat(  # noqa: N802  gRPC's name
        self, request: chat_pb2.ChatRequest, context: Any
    ) -> AsyncIterator[chat_pb2.StreamChatResponse]:
        behaviour = self._seen(request, context)
        if isinstance(behaviour, Fails):
            await abort(context, behaviour)
        if isinstance(behaviour, Says):
            for piece in stream(request, behaviour):
                yield piece
            return
        for piece in stream(request, Says(pieces=behaviour.pieces)):
            if not piece.finish_reason:
                yield piece
        if isinstance(behaviour, Hangs):
            await self._hang()
        elif behaviour.error:
            await abort(context, behaviour.error)

    async def BatchChat(  # noqa: N802  gRPC's name
        self, request: chat_pb2.BatchChatRequest, context: Any
    ) -> AsyncIterator[chat_pb2.BatchChatResponse]:
        self.batches.append(request)
        # Backwards, as the order is not promised.
        for index, item in reversed(list(enumerate(request.requests))):
            merged = chat_pb2.ChatRequest()
            merged.CopyFrom(request.defaults)
            merged.MergeFrom(item)
            behaviour = self._seen(merged, context)
            if isinstance(behaviour, Hangs):
                await self._hang()
            elif isinstance(behaviour, Fails):
                yield chat_pb2.BatchChatResponse(index=index, error=in_band(behaviour))
            elif isinstance(behaviour, Says):
                yield chat_pb2.BatchChatResponse(index=index, response=answer(merged, behaviour))
            if self.batch_error:
                await abort(context, self.batch_error)

    async def GetNodeStatus(  # noqa: N802  gRPC's name
        self, request: node_pb2.GetNodeStatusRequest, context: Any
    ) -> node_pb2.GetNodeStatusResponse:
        del request, context
        return node_pb2.GetNodeStatusResponse(status=node_pb2.NodeStatus(node_id="fake", limits=self.limits))

    async def ListModels(  # noqa: N802  gRPC's name
        self, request: node_pb2.ListModelsRequest, context: Any
    ) -> node_pb2.ListModelsResponse:
        del context
        start = int(request.page_token or 0)  # pages of two, so that paging is used
        more = str(start + 2) if start + 2 < len(self.models) else ""
        return node_pb2.ListModelsResponse(models=self.models[start : start + 2], next_page_token=more)

    def _seen(self, request: chat_pb2.ChatRequest, context: Any) -> Behaviour:
        self.requests.append(request)
        self.metadata.append(dict(context.invocation_metadata()))
        self.deadlines_s.append(context.time_remaining() or 0.0)
        prompt = text_of(request)
        behaviour = self.script.get(prompt, Says(pieces=("echo: ", prompt)))
        if isinstance(behaviour, Fails):
            self.failures[prompt] = self.failures.get(prompt, 0) + 1
            if self.failures[prompt] > behaviour.times:
                return Says(pieces=("echo: ", prompt))
        return behaviour

    async def _hang(self) -> NoReturn:
        self.hanging.set()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self.cancelled.set()
        raise AssertionError("the future is never done")


@asynccontextmanager
async def served(node: FakeNode, *, credentials: grpc.ServerCredentials | None = None) -> AsyncIterator[str]:
    """The address at which the node answers, with TLS if there are credentials."""
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    chat_pb2_grpc.add_ChatServiceServicer_to_server(node, server)
    node_pb2_grpc.add_NodeServiceServicer_to_server(node, server)
    address = "127.0.0.1:0"
    port = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


def text_of(request: chat_pb2.ChatRequest) -> str:
    """The last thing that the user said."""
    return request.prompt or (request.messages[-1].content if request.messages else "")


def answer(request: chat_pb2.ChatRequest, says: Says) -> chat_pb2.ChatResponse:
    facts = {"id": REQUEST_ID, "model": request.model or "qwen-plus", "target": "beijing", "attempt_count": 1}
    if says.job_id:
        return chat_pb2.ChatResponse(id=REQUEST_ID, job_id=says.job_id)
    return chat_pb2.ChatResponse(
        **facts,  # type: ignore[arg-type]  # one dict for two message types
        source=chat_pb2.RESPONSE_SOURCE_UPSTREAM,
        finish_reason=says.finish_reason,
        usage=usage(),
        message=chat_pb2.Message(
            role=chat_pb2.ROLE_ASSISTANT,
            content="".join(says.pieces),
            reasoning_content=says.reasoning if request.include_reasoning else "",
            tool_calls=says.tool_calls,
        ),
    )


def stream(request: chat_pb2.ChatRequest, says: Says) -> Iterator[chat_pb2.StreamChatResponse]:
    whole = answer(request, says)
    if says.job_id:
        yield chat_pb2.StreamChatResponse(id=whole.id, job_id=whole.job_id)
        return
    yield chat_pb2.StreamChatResponse(
        id=whole.id,
        model=whole.model,
        target=whole.target,
        source=whole.source,
        attempt_count=1,
        reasoning_content=whole.message.reasoning_content,
    )
    for piece in says.pieces:
        yield chat_pb2.StreamChatResponse()  # a sign of life
        yield chat_pb2.StreamChatResponse(content=piece)
    yield chat_pb2.StreamChatResponse(
        tool_calls=says.tool_calls, finish_reason=says.finish_reason, usage=whole.usage, upstream_id="up-1"
    )


def usage() -> chat_pb2.Usage:
    return chat_pb2.Usage(
        prompt_tokens=12, completion_tokens=34, total_tokens=46, cost_nanos=2_500_000, currency_code="CNY"
    )


def in_band(fails: Fails) -> error_pb2.Error:
    error = error_pb2.Error(
        code=fails.code.value[0],
        reason=error_pb2.ErrorReason.Value(f"ERROR_REASON_{fails.reason}"),
        message=fails.message,
        field=fails.field,
        possibly_billed=fails.possibly_billed,
    )
    if fails.retry_after_s is not None:
        error.retry_delay.FromNanoseconds(round(fails.retry_after_s * 1e9))
    return error


async def abort(context: Any, fails: Fails) -> NoReturn:
    """End the call with all three copies of the facts, or without the binary one."""
    trailers: list[tuple[str, str | bytes]] = [("edge-reason", fails.reason), ("edge-request-id", REQUEST_ID)]
    if fails.possibly_billed:
        trailers.append(("edge-possibly-billed", "1"))
    delay = "-1" if fails.retry_after_s is None else str(round(fails.retry_after_s * 1000))
    trailers.append(("grpc-retry-pushback-ms", delay))
    if fails.with_details:
        trailers.append(("grpc-status-details-bin", _details(fails)))
    await context.abort(fails.code, fails.message, tuple(trailers))
    raise AssertionError("abort raises")


def _details(fails: Fails) -> bytes:
    status = status_pb2.Status(code=fails.code.value[0], message=fails.message)
    _add(status, error_details_pb2.ErrorInfo(reason=fails.reason, domain="edgeclient.v1"))
    if fails.retry_after_s is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromNanoseconds(round(fails.retry_after_s * 1e9))
        _add(status, retry)
    if fails.field:
        violation = error_details_pb2.BadRequest.FieldViolation(field=fails.field, description=fails.message)
        _add(status, error_details_pb2.BadRequest(field_violations=[violation]))
    serialized: bytes = status.SerializeToString()
    return serialized


def _add(status: status_pb2.Status, detail: Any) -> None:
    packed = AnyMessage()
    packed.Pack(detail)
    status.details.append(packed)
