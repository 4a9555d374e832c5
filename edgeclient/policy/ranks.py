"""The classes of calls in front of the provider, and their weights.

A stored job is below every live call, whatever its priority: the durable queue has put it in order among its own kind,
and nobody waits on the line. Where all wait, a job gets one turn where a live call of normal priority gets 64; that it
gets more if it has waited long is the fair queue's promise.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from edgeclient.core.call import Call
from edgeclient.v1 import chat_pb2

BACKGROUND: Final = 0
LOW: Final = int(chat_pb2.PRIORITY_LOW)
NORMAL: Final = int(chat_pb2.PRIORITY_NORMAL)
HIGH: Final = int(chat_pb2.PRIORITY_HIGH)

WEIGHTS: Final[Mapping[int, int]] = MappingProxyType({HIGH: 128, NORMAL: 64, LOW: 16, BACKGROUND: 1})
NAMES: Final[Mapping[int, str]] = MappingProxyType(
    {HIGH: "high", NORMAL: "normal", LOW: "low", BACKGROUND: "background"}
)


def rank_of(call: Call) -> int:
    """The class of a call; a higher one is served first. A priority that is not known counts as normal."""
    if call.background:
        return BACKGROUND
    priority = int(call.request.priority)
    return priority if LOW <= priority <= HIGH else NORMAL
