"""A call that several take part in: who they are, what they have seen, who pays.

Each takes its pieces at its own pace: they are kept until the end, which costs no more than the answer itself, so a
slow reader holds up nobody, and who comes late gets what there was at once. A caller that asks for the whole answer
waits beside those that want pieces; pieces there are only if the first one wanted them, because the rest of the road
decides by that how to ask.

Exactly one of them carries the bill: the first that is still there. When it leaves, the next one does, and when the
last leaves, the work ends and was that one's. So whoever has an intent to store has it stored before the work is sent,
or before it joins one that was: each may be the one that has paid.
"""

import asyncio
from collections.abc import Sequence
from math import inf

from edgeclient.core.call import Call, Delta, Reply
from edgeclient.core.deadline import Deadline
from edgeclient.core.errors import CallError, OutOfTime, Reason, Unavailable
from edgeclient.core.ports import Clock
from edgeclient.policy.sharing import is_shared, rank
from edgeclient.stages.delivery import mark
from edgeclient.stages.flight import Flight
from edgeclient.v1 import chat_pb2

_LOOK_AHEAD = 0.9  # of the time that is left: a deadline that somebody else may put off is looked at before it comes
_SHORTEST_WAIT_S = 0.005


class NotSharedError(Exception):
    """The call failed for a reason of who led it; whoever is told this may lead the next one.

    Attributes:
        cause: The failure.
    """

    def __init__(self, cause: CallError) -> None:
        super().__init__(cause.summary)
        self.cause = cause


class SharedCall:
    """See the module.

    Args:
        call: The call that begins it.
        digest: What it is found by.
        clock: Measures the time of each.

    Attributes:
        flight: The work.
    """

    __slots__ = (
        "_clock",
        "_is_begun",
        "_leader",
        "_members",
        "_payer",
        "_pieces",
        "_refused",
        "_wakers",
        "flight",
    )

    def __init__(self, call: Call, *, digest: bytes, clock: Clock) -> None:
        self.flight = Flight(digest=digest, call=call)
        if call.emit is not None:
            self.flight.call.emit = self._record
        self.flight.call.before_send, self.flight.call.after_free = self._begin, self._take_back
        self._clock = clock
        self._leader = call
        self._members: list[Call] = []
        self._payer: Call | None = None
        self._pieces: list[Delta] = []
        self._wakers: dict[int, asyncio.Event] = {}
        self._is_begun = False
        self._refused: dict[int, Exception] = {}

    @property
    def sent(self) -> bool:
        """The provider was asked."""
        return self.flight.call.attempt_count > 0

    def look(self) -> None:
        """Something has changed, the end of the work above all: everybody looks."""
        for waker in self._wakers.values():
            waker.set()

    async def take_part(self, call: Call) -> Reply:
        """Wait with the others; returns an answer of the call's own.

        Raises:
            NotSharedError: It ended for a reason that is not this call's.
            CallError: It failed, or the time of this call is over.
        """
        waker = self._wakers[id(call)] = asyncio.Event()
        self._members.append(call)
        try:
            async with self.flight.waited_for() as task:
                if self._is_begun and call.before_send is not None:
                    await call.before_send()
                await self._wait(call, task, waker)
                return await self._outcome(call, task)
        finally:
            self._leave(call)

    async def _begin(self) -> None:
        """It is the turn of the work: all who share it do what they have to do first; see `Call.before_send`.

        Who cannot takes no part, and is told why.

        Raises:
            Exception: Nobody can.
        """
        self._is_begun = True
        members = [member for member in self._members if member.before_send is not None]
        await asyncio.gather(*map(self._prepare, members))
        if self._members and all(id(member) in self._refused for member in self._members):
            raise self._refused[id(self._members[0])]

    async def _take_back(self) -> None:
        """An attempt was free, so nobody has anything at stake until the next; see `Call.after_free`."""
        self._is_begun = False
        await asyncio.gather(*(member.after_free() for member in self._members if member.after_free is not None))

    async def _prepare(self, member: Call) -> None:
        try:
            if member.before_send is not None:
                await member.before_send()
        except Exception as error:  # noqa: BLE001  it is raised where this member waits
            if (waker := self._wakers.get(id(member))) is not None:
                self._refused[id(member)] = error
                waker.set()

    async def _record(self, delta: Delta) -> None:
        self._pieces.append(delta)
        for member in self._members:
            if member.emit is not None:
                self._wakers[id(member)].set()

    async def _wait(self, call: Call, task: asyncio.Task[Reply], waker: asyncio.Event) -> None:
        """Hand on pieces until the end."""
        position = 0
        while True:
            waker.clear()
            if id(call) in self._refused:
                raise self._refused[id(call)]
            self._put_off(call.deadline)
            if call.emit is not None and position < len(self._pieces):
                new, position = self._pieces[position:], len(self._pieces)
                self._tell(call)
                call.committed = True
                await call.emit(_joined(new))
            elif task.done():
                return
            else:
                await self._woken(call, waker)

    def _put_off(self, deadline: Deadline) -> None:
        """Who relied on the work's end to come with its own deadline has to look at the clock from now on."""
        before = self.flight.call.deadline
        self.flight.put_off(deadline)
        if self.flight.call.deadline > before:
            self.look()

    async def _woken(self, call: Call, waker: asyncio.Event) -> None:
        limit_s = self._limit_s(call)
        try:
            async with asyncio.timeout(limit_s):
                await waker.wait()
        except TimeoutError:
            if call.deadline.remaining_s(self._clock.monotonic_s()) > 0:
                return
            last = self._members == [call]
            raise OutOfTime(
                Reason.ERROR_REASON_DEADLINE,
                "the time budget of the call was used up while it shared a call that others wait for",
                possibly_billed=last and self.flight.call.maybe_paid,
            ) from None

    def _limit_s(self, call: Call) -> float | None:
        """How long to wait for the next thing; None: the work ends by itself when this call's time is over."""
        if call.joinable:
            left_s = min(call.deadline, self.flight.call.deadline).remaining_s(self._clock.monotonic_s())
            return max(_SHORTEST_WAIT_S, left_s * _LOOK_AHEAD) if left_s < inf else None
        if self.flight.call.deadline <= call.deadline:
            return None
        return call.deadline.remaining_s(self._clock.monotonic_s())

    async def _outcome(self, call: Call, task: asyncio.Task[Reply]) -> Reply:
        pays = self._pays(call)
        self._tell(call)
        work = self.flight.call
        error = task.exception()
        if isinstance(error, CallError):
            outranks = rank(call.request) > rank(work.request)
            same = call.caller == work.caller
            if call is self._leader or is_shared(error, sent=self.sent, same_caller=same, outranks=outranks):
                raise error
            if call.committed:
                raise Unavailable(
                    Reason.ERROR_REASON_UPSTREAM_INTERRUPTED,
                    f"the answer broke off, because the call that it was shared with ended ({error.reason_name})",
                )
            call.source, call.target = chat_pb2.RESPONSE_SOURCE_UPSTREAM, ""
            raise NotSharedError(error)
        reply = task.result()
        response = chat_pb2.ChatResponse()
        response.CopyFrom(reply.response)
        if call is not self._leader:
            response.source = chat_pb2.RESPONSE_SOURCE_COALESCED
        if not pays:
            mark(call, response)
        message = response.message
        whole = Delta(
            content=message.content, reasoning=message.reasoning_content, tool_calls=tuple(message.tool_calls)
        )
        if call.emit is not None and not call.committed and (whole.content or whole.reasoning or whole.tool_calls):
            call.committed = True
            await call.emit(whole)
        return Reply(response=response, upstream_request_id=reply.upstream_request_id)

    def _pays(self, call: Call) -> bool:
        """The call carries the bill; asked once the work has ended, and from then on it stands who does."""
        if self._payer is None:
            self._payer = self._members[0]
        return call is self._payer

    def _tell(self, call: Call) -> None:
        """What is known of the work is what is told and reported of the one that it belongs to."""
        work = self.flight.call
        call.model, call.target, call.served_as = work.model, work.target, work.served_as
        if call is not self._leader:
            call.source = chat_pb2.RESPONSE_SOURCE_COALESCED
        if call is (self._payer or self._members[0]):
            call.attempt_count, call.maybe_paid = work.attempt_count, work.maybe_paid
            call.upstream_s = work.upstream_s
            call.first_piece_at_s = work.first_piece_at_s
            call.queued_s = work.queued_s

    def _leave(self, call: Call) -> None:
        if self._payer is None and self._members[0] is call:
            self._tell(call)
            if len(self._members) > 1:  # somebody else gets the answer, and the bill with it
                call.attempt_count, call.maybe_paid = 0, False
                call.shared = True
        self._members.remove(call)
        self._refused.pop(id(call), None)
        del self._wakers[id(call)]


def _joined(pieces: Sequence[Delta]) -> Delta:
    if len(pieces) == 1:
        return pieces[0]
    return Delta(
        content="".join(piece.content for piece in pieces),
        reasoning="".join(piece.reasoning for piece in pieces),
        tool_calls=tuple(each for piece in pieces for each in piece.tool_calls),
    )
