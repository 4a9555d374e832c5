"""Sends the items of a batch and sees to it that each ends in exactly one result.

A chunk is one BatchChat call; some run side by side, so the slowest answer of one does not hold the others. What failed
for a passing reason is sent again after the delay that the node asks for; that is the only layer that repeats. Where
the node remembers idempotency keys, every item has one and a repeat is free; where it does not, what was possibly
billed is not repeated by itself but reported, and whoever pays decides. When the call itself fails, not one of its
items, the run stops: the next ten thousand would fail in the same way, and what has no result yet is simply done by the
next run.
"""

import asyncio
import random
from collections.abc import Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass

import grpc

from edgeclient.cli.batch_input import Item, chunked
from edgeclient.cli.batch_results import Results, answered, failed, new_run
from edgeclient.cli.tally import Tally
from edgeclient.client import EdgeClient, EdgeError
from edgeclient.v1 import chat_pb2, node_pb2

# What a node takes that does not tell its limits.
_DEFAULT_CHUNK_ITEMS = 16
_DEFAULT_REQUEST_BYTES = 4 << 20
# The node ends every item within its timeout; the call may take this much longer to bring the results.
_GRACE_S = 30.0
_FIRST_DELAY_S = 1.0
# Who is told to come back later than this is told so, and not kept waiting before a still screen.
_LONGEST_DELAY_S = 60.0
_JITTER = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How hard the node is pressed.

    Attributes:
        parallel: Calls side by side.
        chunk_items: Most items in one call; None: the node's limit, and no more than 32.
        attempts: How often an item is sent at most.
        timeout_s: Budget of one item, from its arrival at the node.
        retry_failed: Send again what failed in an earlier run.
    """

    parallel: int = 2
    chunk_items: int | None = None
    attempts: int = 3
    timeout_s: float = 600.0
    retry_failed: bool = False


class BatchRun:
    """One run over the items; `tally` tells what became of them."""

    def __init__(self, items: Iterator[Item], results: Results, *, pace: Pace, advance: Callable[[int], None]) -> None:
        self.tally = Tally()
        self._items = items
        self._results = results
        self._pace = pace
        self._advance = advance
        self._max_request_bytes = _DEFAULT_REQUEST_BYTES
        self._keyed = False
        self._again = new_run()
        self._open: set[int] = set()

    async def run(self, node: EdgeClient) -> None:
        """Do what an earlier run has left.

        Raises:
            EdgeError: The node cannot be used; the rest was not done.
        """
        limits = (await node.status()).limits
        chunks = self._chunks(limits)
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(self._pace.parallel):
                    group.create_task(self._work(node, chunks), name=f"batch-{number}")
        except ExceptionGroup as errors:
            raise _first(errors) from None

    def count_rest(self) -> None:
        """Account for what was not done, after a run that was stopped."""
        for _ in self._unfinished():
            pass
        self.tally.not_done = len(self._open)

    def _chunks(self, limits: node_pb2.Limits) -> Iterator[list[Item]]:
        self._max_request_bytes = limits.max_request_bytes or _DEFAULT_REQUEST_BYTES
        self._keyed = limits.HasField("idempotency_window")
        most = limits.max_batch_item_count or _DEFAULT_CHUNK_ITEMS
        return chunked(
            self._unfinished(), most=min(most, self._pace.chunk_items or 32), most_bytes=self._max_request_bytes
        )

    def _unfinished(self) -> Iterator[Item]:
        """Items that have to be sent; all others are accounted for on the way."""
        for item in self._items:
            earlier = self._results.earlier(item)
            if earlier or (earlier is False and not self._pace.retry_failed):
                self.tally.skipped += earlier
                self.tally.skipped_failed += not earlier
                self._advance(1)
            elif item.problem:
                self._fail(item, EdgeError(grpc.StatusCode.INVALID_ARGUMENT, item.problem, reason="INVALID_REQUEST"))
            elif item.size_bytes > self._max_request_bytes:
                sentence = f"the line is larger than the node's limit of {self._max_request_bytes} bytes"
                self._fail(item, EdgeError(grpc.StatusCode.INVALID_ARGUMENT, sentence, reason="REQUEST_TOO_LARGE"))
            else:
                self._open.add(item.index)
                yield item

    async def _work(self, node: EdgeClient, chunks: Iterator[list[Item]]) -> None:
        for chunk in chunks:  # shared by all workers; nothing is awaited inside of it
            await self._finish(node, chunk)

    async def _finish(self, node: EdgeClient, items: list[Item]) -> None:
        for attempt in range(1, self._pace.attempts + 1):
            sent = _Sent(items)
            await self._send(node, sent)
            if not sent.passing and not sent.broken:
                return
            delay_s = _delay_s(sent, attempt)
            if attempt == self._pace.attempts or delay_s > _LONGEST_DELAY_S:
                break
            await asyncio.sleep(delay_s)
            items = [item for item, _ in sent.passing] + sent.unreported
        for item, error in sent.passing:
            self._fail(item, error)
        if sent.broken:
            raise sent.broken

    async def _send(self, node: EdgeClient, sent: "_Sent") -> None:
        """One call; results are kept as they come."""
        requests = [self._request(item) for item in sent.items]
        try:
            async with aclosing(node.batch(requests, timeout_s=self._pace.timeout_s + _GRACE_S)) as results:
                async for result in results:
                    self._receive(sent, result)
        except EdgeError as error:
            if not error.worth_repeating or (sent.reported and not self._keyed):
                raise  # what was under way when it broke may have been billed
            sent.broken = error

    def _receive(self, sent: "_Sent", result: chat_pb2.BatchChatResponse) -> None:
        item = sent.items[result.index]
        sent.reported.add(result.index)
        if result.HasField("response"):
            self._open.discard(item.index)
            self._results.write(answered(item, self._results.run, result.response))
            self.tally.ok += 1
            self.tally.queued += bool(result.response.job_id)
            self._advance(1)
            return
        error = EdgeError.from_item(result.error)
        if error.worth_repeating and (self._keyed or not error.possibly_billed):
            sent.passing.append((item, error))
        else:
            self._fail(item, error)

    def _fail(self, item: Item, error: EdgeError) -> None:
        self._open.discard(item.index)
        self._results.write(failed(item, self._results.run, error))
        self.tally.fail(item, error)
        self._advance(1)

    def _request(self, item: Item) -> chat_pb2.ChatRequest:
        request = chat_pb2.ChatRequest()
        if item.request:
            request.CopyFrom(item.request)
        if self._keyed and not request.idempotency_key:
            # What failed in an earlier run and is wanted again is a new request: its old key may be spent.
            run = self._again if self._results.earlier(item) is False else self._results.run
            request.idempotency_key = f"{run}:{item.index}:{item.content_hash}"
        if not request.HasField("timeout"):
            request.timeout.FromMilliseconds(round(self._pace.timeout_s * 1000))
        return request


class _Sent:
    """One call and what it has brought so far."""

    def __init__(self, items: list[Item]) -> None:
        self.items = items
        self.reported: set[int] = set()
        self.passing: list[tuple[Item, EdgeError]] = []
        self.broken: EdgeError | None = None

    @property
    def unreported(self) -> list[Item]:
        return [item for position, item in enumerate(self.items) if position not in self.reported]


def _delay_s(sent: _Sent, attempt: int) -> float:
    errors = [error for _, error in sent.passing] + ([sent.broken] if sent.broken else [])
    backoff_s = _FIRST_DELAY_S * 2.0 ** (attempt - 1)
    delay_s = max(backoff_s if error.retry_after_s is None else error.retry_after_s for error in errors)
    return delay_s * (1 + _JITTER * random.random())  # noqa: S311  spreads load, guards nothing


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    first = errors.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
