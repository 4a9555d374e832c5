"""Who takes part in a running call, and whose failure a failure is.

One upstream request for many has one priority, one caller that pays, and the time of the most patient. So nobody joins
what would keep it waiting behind its own priority; and a failure that comes from who leads (its time, its wish, its
limits, its rank) is told to that one alone: another one leads then. What the provider has said, it has said to all.
"""

from edgeclient.core.errors import CallError, Reason
from edgeclient.v1 import chat_pb2

_OF_ONE = frozenset({Reason.ERROR_REASON_DEADLINE, Reason.ERROR_REASON_CANCELLED})
_OF_CALLER = frozenset({Reason.ERROR_REASON_RATE_LIMITED, Reason.ERROR_REASON_CALLER_NOT_ALLOWED})


def rank(request: chat_pb2.ChatRequest) -> int:
    """The priority as a number to compare; higher goes first."""
    return int(request.priority) or chat_pb2.PRIORITY_NORMAL


def may_join(request: chat_pb2.ChatRequest, running: chat_pb2.ChatRequest, *, sent: bool) -> bool:
    """A request would not wait behind its own priority; `sent`: the running one waits no more."""
    return sent or rank(request) <= rank(running)


def is_shared(error: CallError, *, sent: bool, same_caller: bool, outranks: bool) -> bool:
    """A failure concerns somebody who only waited for the call that failed.

    Args:
        error: What the call ended with.
        sent: The provider was asked at least once.
        same_caller: It is the caller of the call that failed.
        outranks: It has a higher priority than the call that failed.
    """
    if error.reason in _OF_ONE or (error.reason in _OF_CALLER and not same_caller):
        return False
    return sent or (same_caller and not outranks)
