"""A call that waits for its turn, and what it gets."""

import asyncio
from dataclasses import dataclass

from edgeclient.core.call import Call
from edgeclient.core.deadline import Deadline
from edgeclient.policy.quota import Reservation


@dataclass(slots=True)
class Grant:
    """Permission for one attempt.

    Attributes:
        number: Of the attempt, for the width.
        reservation: What is reserved for it; None: nothing is limited.
        waiter: Holds up its conversation as long as the attempt lasts; None: it is part of none.
    """

    number: int
    reservation: Reservation | None
    waiter: "Waiter | None"


class Waiter:
    """A call in the line; what the fair queue reads of it stays as it is.

    Args:
        call: The call.
        rank: Its class.
        size_bytes: Size of its request.
        now_s: The present time.
    """

    __slots__ = (
        "call",
        "caller",
        "conversation_id",
        "create_ms",
        "deadline",
        "expire_ms",
        "id",
        "lane",
        "next_attempt_ms",
        "priority",
        "seq",
        "since_s",
        "size_bytes",
        "timer",
        "turn",
    )

    def __init__(self, call: Call, *, rank: int, size_bytes: int, now_s: float) -> None:
        self.call = call
        self.id = str(call.arrival)
        self.caller = call.caller
        self.conversation_id = call.request.conversation_id
        self.priority = rank
        self.lane = lane_of(call)
        self.seq = call.arrival
        self.create_ms = int(now_s * 1000)
        self.expire_ms = 0
        self.next_attempt_ms = 0
        self.since_s = now_s
        self.size_bytes = size_bytes
        self.deadline: Deadline = call.deadline
        self.timer: asyncio.TimerHandle | None = None
        self.turn: asyncio.Future[Grant] = asyncio.get_running_loop().create_future()

    def __repr__(self) -> str:
        return f"<Waiter {self.id}, class {self.priority}, {self.size_bytes} bytes>"

    def has_aged(self, ageing_s: float, now_s: float) -> bool:
        """Whether it has waited so long that its priority does not count any more."""
        return now_s - self.since_s >= ageing_s


def lane_of(call: Call) -> str:
    """What may be short for this call and its like: a model's limits."""
    return call.model.id if call.model is not None else call.request.model
