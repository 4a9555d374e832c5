"""File Batch over the transport: the port `BatchProvider`.

What the provider answers with an error it did not do, but for one case: a gateway that gives up on the order of a batch
(5xx, 408) does not know whether it was placed, and neither does anybody whose connection broke after the order had
left. Those are `Uncertain`, and only a listing tells.

Only lines that succeeded are billed. So an error in a line is certainly not billed, and an answer that cannot be read
is.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from typing import TypeVar
from urllib.parse import quote, urlencode

from msgspec import Raw
from msgspec.json import Decoder

from edgeclient.config.half_price_schema import HalfPriceConfig
from edgeclient.core.errors import Blocked, CallError, Reason, Rejected, Throttled, Unavailable, Uncertain
from edgeclient.core.half_price import LineResult, ProviderBatch
from edgeclient.core.models import ModelSpec
from edgeclient.upstream.answer import decode_answer
from edgeclient.upstream.batch.form import form
from edgeclient.upstream.batch.wire import BATCH, BATCHES, ENCODER, FILE, RESULT, Fault, ResultLine, batch_of
from edgeclient.upstream.exchange import Incoming, Outgoing
from edgeclient.upstream.failures import ProviderError, failure, parse_error, unreadable
from edgeclient.upstream.refusal import refusal
from edgeclient.upstream.request_codec import encode_request
from edgeclient.upstream.transport import Transport
from edgeclient.upstream.wire import UNREADABLE
from edgeclient.v1 import chat_pb2

T = TypeVar("T")
ENDPOINT = "/v1/chat/completions"
_NOT_FOUND = 404
_OK = 200
_MOST_BYTES = 4 * 1024 * 1024
_LONGEST_LINE_BYTES = 64 * 1024 * 1024
_PAGE = 100
_MOST_PAGES = 50
_REFUSED = (Rejected, Blocked, Throttled)


class FileBatches:
    """See the module.

    Args:
        config: Time limits.
        transport: The way there.
        target: Name of what answers.
        serves: What the model with an id is called there.
    """

    def __init__(
        self, config: HalfPriceConfig, transport: Transport, *, target: str, serves: Callable[[str], str | None] = str
    ) -> None:
        self.target = target
        self._serves = serves
        self._config = config
        self._transport = transport

    def line(self, custom_id: str, request: chat_pb2.ChatRequest, model: ModelSpec) -> bytes:
        """See `BatchProvider.line`."""
        body = Raw(encode_request(request, model, stream=False, name=self._serves(model.id) or ""))
        line = {"custom_id": custom_id, "method": "POST", "url": ENDPOINT, "body": body}
        return ENCODER.encode(line) + b"\n"

    async def upload(self, name: str, lines: Sequence[bytes]) -> str:
        """See `BatchProvider.upload`."""
        content_type, body = form(f"{name}.jsonl", lines)
        outgoing = Outgoing(method="POST", path="/files", body=body, content_type=content_type)
        file = _decoded(FILE, await self._ask(outgoing, limit_s=self._config.transfer_timeout_s))
        if not file.id:
            raise unreadable("it names no file")
        return file.id

    async def create(self, file_id: str, *, name: str, window_h: int) -> ProviderBatch:
        """See `BatchProvider.create`."""
        order = {
            "input_file_id": file_id,
            "endpoint": ENDPOINT,
            "completion_window": f"{window_h}h",
            "metadata": {"ds_name": name},
        }
        left = False

        def sent() -> None:
            nonlocal left
            left = True

        outgoing = Outgoing(method="POST", path="/batches", body=ENCODER.encode(order), on_sent=sent)
        try:
            batch = batch_of(_decoded(BATCH, await self._ask(outgoing)))
        except CallError as error:
            if not left or isinstance(error, _REFUSED):
                raise
            doubt = f"The order was perhaps placed: {error.summary}"
            raise Uncertain(Reason.ERROR_REASON_OUTCOME_UNKNOWN, doubt) from error
        if not batch.id:
            raise Uncertain(Reason.ERROR_REASON_OUTCOME_UNKNOWN, "The order was perhaps placed: the answer names none")
        return batch

    async def named(self, name: str, *, file_id: str) -> list[ProviderBatch]:
        """See `BatchProvider.named`. The provider lists by the name alone."""
        del file_id
        found: list[tuple[float, ProviderBatch]] = []
        after = ""
        for _ in range(_MOST_PAGES):
            query = {"ds_name": name, "limit": str(_PAGE)} | ({"after": after} if after else {})
            page = _decoded(BATCHES, await self._ask(Outgoing(method="GET", path=f"/batches?{urlencode(query)}")))
            views = page.data or []
            found += [(view.created_at or 0.0, batch) for view in views if (batch := batch_of(view)).name == name]
            if not page.has_more or not views:
                return [batch for _, batch in sorted(found, key=lambda each: each[0])]
            after = page.last_id or views[-1].id
        raise Unavailable(
            Reason.ERROR_REASON_UPSTREAM_BAD_RESPONSE,
            f"The provider lists more than {_PAGE * _MOST_PAGES} batches, so nobody can say whether one is missing",
        )

    async def batch(self, batch_id: str) -> ProviderBatch:
        """See `BatchProvider.batch`."""
        outgoing = Outgoing(method="GET", path=f"/batches/{quote(batch_id)}")
        return batch_of(_decoded(BATCH, await self._ask(outgoing)))

    async def cancel(self, batch_id: str) -> None:
        """See `BatchProvider.cancel`."""
        await self._ask(Outgoing(method="POST", path=f"/batches/{quote(batch_id)}/cancel"))

    async def results(self, file_id: str, model: ModelSpec) -> AsyncIterator[LineResult]:
        """See `BatchProvider.results`."""
        outgoing = Outgoing(method="GET", path=f"/files/{quote(file_id)}/content", streamed=True)
        rest = b""
        async with AsyncExitStack() as stack:
            incoming = await self._opened(stack, outgoing)
            while chunk := await self._read(incoming):
                *whole, rest = (rest + chunk).split(b"\n")
                if len(rest) > _LONGEST_LINE_BYTES:
                    raise unreadable(f"a line of results is longer than {_LONGEST_LINE_BYTES} bytes")
                for line in whole:
                    if line.strip():
                        yield _result(line, model)
        if rest.strip():
            yield _result(rest, model)

    async def delete(self, file_id: str) -> None:
        """See `BatchProvider.delete`."""
        await self._ask(Outgoing(method="DELETE", path=f"/files/{quote(file_id)}"), absent_is_fine=True)

    async def _opened(self, stack: AsyncExitStack, outgoing: Outgoing) -> Incoming:
        try:
            async with asyncio.timeout(self._small_s):
                incoming = await stack.enter_async_context(self._transport.exchange(outgoing))
                if incoming.is_refusal:
                    raise await self._refusal(incoming)
        except TimeoutError:
            raise _late(self._small_s) from None
        return incoming

    async def _read(self, incoming: Incoming) -> bytes:
        try:
            async with asyncio.timeout(self._small_s):
                return await incoming.read()
        except TimeoutError:
            raise _late(self._small_s) from None

    async def _ask(self, outgoing: Outgoing, *, limit_s: float = 0.0, absent_is_fine: bool = False) -> bytes:
        """The body of the answer."""
        limit_s = limit_s or self._small_s
        try:
            async with asyncio.timeout(limit_s), self._transport.exchange(outgoing) as incoming:
                if incoming.is_refusal and not (absent_is_fine and incoming.status == _NOT_FOUND):
                    raise await self._refusal(incoming)
                body = await incoming.read_until(_MOST_BYTES + 1)
        except TimeoutError:
            raise _late(limit_s) from None
        if len(body) > _MOST_BYTES:
            raise unreadable(f"it is longer than {_MOST_BYTES} bytes")
        return body

    async def _refusal(self, incoming: Incoming) -> CallError:
        error, _ = await refusal(incoming, wall_s=self._transport.clock.wall_s())
        return error

    @property
    def _small_s(self) -> float:
        return self._config.request_timeout_s


def _decoded(decoder: Decoder[T], body: bytes) -> T:
    try:
        return decoder.decode(body)
    except UNREADABLE as error:
        raise unreadable("it is not JSON of the known form") from error


def _late(limit_s: float) -> Unavailable:
    return Unavailable(Reason.ERROR_REASON_UPSTREAM_TIMEOUT, f"The provider did not answer within {limit_s:g} s")


def _result(line: bytes, model: ModelSpec) -> LineResult:
    """What a line tells.

    Raises:
        Uncertain: It is none.
    """
    try:
        told = RESULT.decode(line)
    except UNREADABLE as error:
        raise unreadable("a line of results is not JSON of the known form") from error
    answered = told.response
    if answered is not None and answered.status_code == _OK and not told.error:
        try:
            completion = decode_answer(bytes(answered.body), model=model, include_reasoning=True)
        except CallError as error:
            return LineResult(custom_id=told.custom_id, error=error)
        return LineResult(custom_id=told.custom_id, response=completion.response)
    return LineResult(custom_id=told.custom_id, error=_unbilled(_error(told)))


def _error(told: ResultLine) -> CallError:
    answered, said = told.response, told.error or Fault()
    status = (answered.status_code if answered is not None else 0) or 0
    if answered is not None and bytes(answered.body) != b"null":
        error = parse_error(http_status=status, content_type="", body=bytes(answered.body))
        if error.code or error.message:
            return failure(error)
    return failure(ProviderError(http_status=status, code=said.code or "", message=said.message or ""))


def _unbilled(error: CallError) -> CallError:
    """A line that failed is not billed, whatever its words would mean in a live call."""
    if not error.possibly_billed:
        return error
    return Unavailable(error.reason, error.summary, retry_after_s=error.retry_after_s)
