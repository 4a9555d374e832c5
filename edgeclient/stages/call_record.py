"""What is stored of a call with an idempotency key: nothing until its turn, then the intent, at last the answer.

What is promised of a key begins with the first byte that leaves: from then on a repeat must not be billed again, so the
intent is committed before it. A call that still waits has been told nothing and has cost nothing. If the node crashes
then, there is nothing to keep: whoever repeats the key is the first to be sent, as is right. So the claim of a waiting
call is one of the process alone (`idempotency.py`): there others join it and other content is refused. To commit it as
well would be a second commit for each call, and would promise nothing more: of a key whose call was never sent, even
other content may be taken by the next process, for nobody was told anything that it contradicts.

It costs a commit for the intent and one for the answer. An answer for which nothing was sent (from the cache, or
prepared) is stored together with its key, in one. After an attempt that certainly was free the intent is taken back,
because the next one may be long in coming, and stored anew with that: two commits more for each such attempt, where the
provider has trouble anyway.
"""

import asyncio
from dataclasses import replace

from edgeclient.core.errors import CallError, Reason, Rejected
from edgeclient.core.jobs import Attempt, Job, JobKind, NewJob
from edgeclient.core.spool import Spool
from edgeclient.v1 import chat_pb2


class NotSentError(Exception):
    """The intent could not be stored, and nothing was sent. It is no `CallError`: nobody on the road has to judge it.

    Args:
        why: Of the storage, as the caller is to be told, or the job that has the key already.

    Attributes:
        why: As given.
    """

    def __init__(self, why: CallError | Job) -> None:
        super().__init__(why.id if isinstance(why, Job) else why.summary)
        self.why = why


class CallRecord:
    """That of one call; see the module.

    Args:
        spool: The storage.
        new: The call, in the words of the storage.
    """

    __slots__ = ("_has_ended", "_is_job", "_new", "_settling", "_spool", "_storing")

    def __init__(self, spool: Spool, new: NewJob) -> None:
        self._spool = spool
        self._new = new
        self._storing: asyncio.Task[Attempt] | None = None
        self._settling = asyncio.Lock()
        self._has_ended = False
        self._is_job = False

    async def begin(self) -> None:
        """It is the call's turn; see `Call.before_send`. What was begun already just goes on.

        Who leaves meanwhile leaves the commit to itself: `answered`, `failed` and `to_job` wait for it.

        Raises:
            NotSentError: Nothing may be sent.
        """
        if self._has_ended:  # whoever has asked has left, and others who share the call have it sent
            return
        if self._storing is None:
            self._storing = asyncio.create_task(self._store(), name=f"intent of {self._new.id}")
        await asyncio.shield(self._storing)

    async def take_back(self) -> None:
        """No attempt has cost anything; see `Call.after_free`. An intent that cannot be taken back stays as it is."""
        async with self._settling:
            if self._storing is None:
                return
            try:
                await self._spool.forget(await asyncio.shield(self._storing))
            except (NotSentError, CallError):  # there is none, or the next attempt just begins
                return
            self._storing = None

    async def answered(self, response: chat_pb2.ChatResponse) -> None:
        """Keep the answer. One that cannot be kept is told all the same: if it has cost something, it is paid for."""
        if self._is_job:
            return
        attempt = await self._ended()
        try:
            if attempt is None:
                await self._spool.answered(self._new, response)
            else:
                await self._spool.succeed(attempt, response)
        except CallError:  # the spool tells its trouble itself; on the disk all is as it was before
            return

    async def failed(self, error: CallError | None) -> None:
        """Forget a failure that cost nothing, and keep one that may have been billed; None: it certainly was not."""
        attempt = await self._ended()
        if attempt is None or self._is_job:
            return
        try:
            if error is not None and error.possibly_billed:
                await self._spool.fail(attempt, error, retry_in_s=None, counts=True)
            else:
                await self._spool.forget(attempt)
        except CallError:  # as above: a record that stays is found by the next repeat, like one from before a crash
            return

    async def to_job(self) -> Job:
        """Make a job of the call; see `Call.to_job`.

        Raises:
            CallError: It cannot be stored, or its key was cancelled meanwhile.
        """
        attempt = await self._ended()
        if attempt is None:
            job = (await self._spool.accept(replace(self._new, kind=JobKind.JOB))).job
        else:
            job = await self._parked(attempt)
        self._is_job = True  # from now on the drainer has it
        return job

    async def _store(self) -> Attempt:
        try:
            accepted = await self._spool.accept(self._new)
        except CallError as error:
            raise NotSentError(error) from error
        if accepted.attempt is None:  # a job has come by the key while the call stood in line
            raise NotSentError(accepted.job)
        return accepted.attempt

    async def _ended(self) -> Attempt | None:
        """What was begun; None: nothing was, and nothing will be."""
        self._has_ended = True
        async with self._settling:
            if self._storing is None:
                return None
            try:
                return await asyncio.shield(self._storing)
            except NotSentError:
                return None

    async def _parked(self, attempt: Attempt) -> Job:
        job = await self._spool.park(attempt, ttl_s=self._new.ttl_s)
        if job is None:
            raise Rejected(
                Reason.ERROR_REASON_CANCELLED, "the call was cancelled by its idempotency_key; nothing was sent"
            )
        return job
