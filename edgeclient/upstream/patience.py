"""How long to wait for a provider, as one timer that is moved rather than five that are nested.

A request passes through phases, and in each of them a few limits hold; the one that comes first decides when the timer
fires and which error it is. A piece of a stream only moves a limit away: the timer is left as it is and looks again
when it wakes, so a piece costs the reading of a clock. The caller's deadline holds always, the total from the moment
the request leaves; a non-streamed answer shows no sign of life before it is there, so it has no others. Time in which
the caller takes a piece is the caller's: no limit of the provider's runs meanwhile but the total.

Waiting for a place and for the connection belongs to nobody but the deadline: it is no fault of the provider. The
deadline of a call that others join is put off, so it is read anew each time the timer looks.
"""

import asyncio
from collections.abc import Callable
from enum import Enum
from math import inf
from types import TracebackType
from typing import Self

from edgeclient.config.schema import UpstreamConfig
from edgeclient.core.call import Call
from edgeclient.core.errors import CallError, OutOfTime, Reason, Uncertain


class Limit(Enum):
    """What can run out."""

    DEADLINE = "deadline"
    TOTAL = "total_timeout_s"
    HEADERS = "headers_timeout_s"
    FIRST_TOKEN = "first_token_timeout_s"  # noqa: S105  of the model's tokens, no secret
    SILENCE = "silence_timeout_s"


class Patience:
    """The timer of one attempt: `async with` it round the attempt; see the module.

    Args:
        config: The limits.
        call: Whose deadline it is.
        now_s: The present time on the clock of the deadline.
        streamed: The answer comes in pieces.
        is_overdue: Whether the target would have begun to answer in this time since the request left, if it were well.
    """

    __slots__ = (
        "_ahead_s",
        "_call",
        "_config",
        "_first_token_s",
        "_headers_s",
        "_heard",
        "_is_overdue",
        "_loop",
        "_over",
        "_sent_s",
        "_silence_s",
        "_silent",
        "_streamed",
        "_timer",
        "_total_s",
        "_wake",
        "_wake_s",
    )

    def __init__(
        self,
        config: UpstreamConfig,
        *,
        call: Call,
        now_s: float,
        streamed: bool,
        is_overdue: Callable[[float], bool] = lambda _waited_s: False,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._config = config
        self._streamed = streamed
        self._call = call
        self._ahead_s = self._loop.time() - now_s  # the loop's clock and ours may have begun at different moments
        self._total_s = self._headers_s = self._first_token_s = self._silence_s = inf
        self._is_overdue = is_overdue
        self._sent_s: float | None = None
        self._silent = True
        self._heard = False
        self._over = Limit.DEADLINE
        self._timer = asyncio.timeout_at(None)
        self._wake: asyncio.TimerHandle | None = None
        self._wake_s = inf

    async def __aenter__(self) -> Self:
        """Begin to wait."""
        await self._timer.__aenter__()
        self._look()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End; raises the error of the limit that ran out, if one did."""
        if self._wake is not None:
            self._wake.cancel()
        try:
            await self._timer.__aexit__(kind, error, trace)
        except TimeoutError:
            raise self._ran_out() from None

    def sent(self) -> None:
        """The request leaves."""
        now_s = self._sent_s = self._loop.time()
        self._total_s = now_s + self._config.total_timeout_s
        if self._streamed:
            self._headers_s = now_s + self._config.headers_timeout_s
            self._first_token_s = now_s + self._config.first_token_timeout_s
        self._look()

    def answered(self) -> None:
        """The headers are there."""
        self._silent = False
        self._headers_s = inf

    def heard(self) -> None:
        """A piece of the answer is there; from now on silence counts."""
        if self._streamed:
            self._first_token_s = inf
            self._silence_s = self._loop.time() + self._config.silence_timeout_s
            if not self._heard:  # later pieces only move the limit away, and the timer looks again when it wakes
                self._heard = True
                self._look()

    def hold(self) -> None:
        """The caller takes a piece."""
        self._silence_s = inf

    @property
    def waited_s(self) -> float:
        """Time since the request left; 0.0: it has not."""
        return 0.0 if self._sent_s is None else self._loop.time() - self._sent_s

    @property
    def _deadline_s(self) -> float:
        return self._call.deadline.at_s + self._ahead_s

    def _due(self) -> tuple[float, Limit]:
        """What runs out first, and when."""
        return min(
            (self._deadline_s, Limit.DEADLINE),
            (self._total_s, Limit.TOTAL),
            (self._headers_s, Limit.HEADERS),
            (self._first_token_s, Limit.FIRST_TOKEN),
            (self._silence_s, Limit.SILENCE),
            key=_moment,
        )

    def _look(self) -> None:
        """Fire if a limit has run out, else sleep until the first one may have."""
        due_s, limit = self._due()
        if due_s <= self._loop.time():
            self._over = limit
            self._timer.reschedule(due_s)
        elif due_s < self._wake_s:
            self._sleep(due_s)

    def _sleep(self, until_s: float) -> None:
        if self._wake is not None:
            self._wake.cancel()
        self._wake_s = until_s
        self._wake = self._loop.call_at(until_s, self._woken)

    def _woken(self) -> None:
        self._wake, self._wake_s = None, inf
        self._look()

    def _ran_out(self) -> CallError:
        limit = self._over
        if limit is Limit.DEADLINE:
            is_sent = self._sent_s is not None
            where = "while the provider worked on it" if is_sent else "before it could be sent"
            error = OutOfTime(
                Reason.ERROR_REASON_DEADLINE,
                f"The time budget of the call was used up {where}",
                possibly_billed=is_sent,
            )
            error.shows_silence = is_sent and self._silent and self._is_overdue(self.waited_s)
            return error
        what = {
            Limit.TOTAL: "did not finish its answer",
            Limit.HEADERS: "did not begin to answer",
            Limit.FIRST_TOKEN: "did not send the first piece of its answer",
            Limit.SILENCE: "fell silent in the middle of its answer",
        }[limit]
        reason = Reason.ERROR_REASON_UPSTREAM_TIMEOUT
        if limit is Limit.SILENCE or (limit is Limit.TOTAL and self._heard):
            reason = Reason.ERROR_REASON_UPSTREAM_INTERRUPTED
        seconds = getattr(self._config, limit.value)
        return Uncertain(reason, f"The provider {what} within upstream.{limit.value}, {seconds:g} s")


def _moment(due: tuple[float, Limit]) -> float:
    return due[0]
