"""Errors by what the caller may do next.

A class answers one question, "may this request be sent again, and when?"; `reason` names the cause from the public
contract (`protos/edgeclient/v1/error.proto`). Who raises one translates a foreign exception in the file that met it;
who answers a device maps `reason` to a status in one table (`ingress/status.py`). Nothing else travels as a failure of
a call: an exception that is none of these is a defect and is reported as one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edgeclient.v1 import error_pb2

Reason = error_pb2.ErrorReason
STORAGE_FAILED = frozenset({Reason.ERROR_REASON_STORAGE_UNAVAILABLE, Reason.ERROR_REASON_STORAGE_OUTCOME_UNKNOWN})
"""The storage of the queue failed: nothing was changed, or nobody knows. Whoever is fenced may simply try again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One thing that is wrong with a request.

    Attributes:
        field: Path from the request message, such as `messages[2].tool_call_id`.
        description: What is wrong and what would be right, one sentence without a full stop.
    """

    field: str
    description: str


class CallError(Exception):
    """A call failed for a reason that the caller is told.

    Args:
        reason: Cause from the public contract.
        summary: One sentence, without prompt, answer or key.
        detail: What the provider said about it. It goes to the caller, who knows what it quotes, and never to a log.
        retry_after_s, retry_after_told, possibly_billed, violations: As the attributes.

    Attributes:
        reason: Cause from the public contract.
        message: One sentence for a developer. It may end with words of others, which may quote the request.
        summary: The sentence without the words of others: what may be logged.
        retry_after_s: Earliest moment at which a repeat makes sense, from now. None: a repeat does not help.
        retry_after_told: The provider itself has named that moment.
        possibly_billed: The provider may have generated, and charged for, an answer that was lost.
        violations: What is wrong with the request, all of it.
    """

    possibly_billed_by_nature = False

    def __init__(
        self,
        reason: Reason.ValueType,
        summary: str,
        *,
        detail: str = "",
        retry_after_s: float | None = None,
        retry_after_told: bool = False,
        possibly_billed: bool = False,
        violations: Sequence[Violation] = (),
    ) -> None:
        message = f"{summary}: {detail}" if detail else summary
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.summary = summary
        self.retry_after_s = retry_after_s
        self.retry_after_told = retry_after_told
        self.possibly_billed = possibly_billed or self.possibly_billed_by_nature
        self.violations = tuple(violations)

    def reword(self, reword: Callable[[str], str]) -> None:
        """Say the same in other words; the words of others stay."""
        summary = reword(self.summary)
        self.message = summary + self.message.removeprefix(self.summary)
        self.summary = summary
        self.args = (self.message,)

    @property
    def reason_name(self) -> str:
        """The reason without its prefix, as in the trailer `edge-reason`."""
        return reason_name(self.reason)


class Rejected(CallError):  # noqa: N818  the name says what may be done
    """Never again: the same request fails the same way."""


class Blocked(CallError):  # noqa: N818
    """Not before a person acts: the key, the account or a permission is wrong, for every request of this lane."""


class ModelBlocked(Blocked):
    """The same for one model: no permission for it, its quota used up. Requests for others may pass.

    Who cannot tell whom a refusal concerns takes this class: if it concerns all, each model finds that out for itself,
    while the other way round one model would keep all the others waiting.
    """


class Throttled(CallError):  # noqa: N818
    """Later: not sooner than `retry_after_s`, and everything else in this lane should slow down too."""


class Unavailable(CallError):  # noqa: N818
    """Maybe: the way is blocked or the provider failed, and this attempt was certainly not billed."""


class Unfetched(Unavailable):
    """The same, and not for a fault of its own: it could not fetch what the request points to, and asking works."""


class Uncertain(CallError):  # noqa: N818
    """Perhaps billed: the request left, and what became of it is not known."""

    possibly_billed_by_nature = True


class Stopping(CallError):  # noqa: N818
    """Keep it: this node is shutting down; a durable request stays queued, a live one may go to another node."""


class OutOfTime(CallError):  # noqa: N818
    """The caller's own time budget is spent.

    Attributes:
        shows_silence: The request had left, and nothing came in a time in which the target would have begun to answer
            if it were well.
    """

    shows_silence = False


def reason_name(reason: Reason.ValueType) -> str:
    """Name of a reason without its prefix, such as `UPLINK_OFFLINE`."""
    return Reason.Name(reason).removeprefix("ERROR_REASON_")
