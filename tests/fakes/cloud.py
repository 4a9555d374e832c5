"""The rest of the road, one upstream request at a time in the hands of the test."""

import asyncio
from dataclasses import dataclass, field

from edgeclient.core.call import Call, Delta, Reply
from edgeclient.v1 import chat_pb2


@dataclass(eq=False)
class Run:
    """An upstream request.

    Attributes:
        call: As it came.
        over: It has ended, in whatever way.
        cancelled: Nobody wanted it any more.
    """

    call: Call
    ending: asyncio.Future[Reply] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    over: bool = False
    cancelled: bool = False

    async def piece(self, text: str) -> None:
        """Send a piece, if the call wants pieces."""
        if self.call.emit is not None:
            self.call.committed = True
            await self.call.emit(Delta(content=text))

    def answer(self, text: str = "yes") -> None:
        """End well."""
        response = chat_pb2.ChatResponse(
            model="qwen-plus",
            finish_reason=chat_pb2.FINISH_REASON_STOP,
            source=chat_pb2.RESPONSE_SOURCE_UPSTREAM,
            target="dashscope",
            attempt_count=self.call.attempt_count,
            usage=chat_pb2.Usage(prompt_tokens=9, completion_tokens=7),
            message=chat_pb2.Message(role=chat_pb2.ROLE_ASSISTANT, content=text),
        )
        self.ending.set_result(Reply(response=response, upstream_request_id="req-1"))

    def fail(self, error: Exception) -> None:
        """End badly."""
        self.ending.set_exception(error)


class Cloud:
    """A handler.

    Attributes:
        runs: All upstream requests, in order.
        sends: False: calls are refused before anything is sent.
    """

    def __init__(self) -> None:
        self.runs: list[Run] = []
        self.sends = True
        self._came = asyncio.Event()

    async def __call__(self, call: Call) -> Reply:
        run = Run(call)
        self.runs.append(run)
        if self.sends:
            call.attempt_count += 1
            call.maybe_paid = True
            call.target = "dashscope"
        self._came.set()
        try:
            return await run.ending
        except asyncio.CancelledError:
            run.cancelled = True
            raise
        finally:
            run.over = True

    @property
    def running(self) -> list[Run]:
        """Those that have not ended."""
        return [run for run in self.runs if not run.over]

    async def asked(self, count: int) -> Run:
        """Return the newest request when so many have come."""
        async with asyncio.timeout(20):
            while len(self.runs) < count:
                self._came.clear()
                await self._came.wait()
        return self.runs[count - 1]
