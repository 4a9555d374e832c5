"""What one attempt holds in a lane, and the limit that one more would break."""

from dataclasses import dataclass

from edgeclient.policy.demand import Demand


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A limit that one more attempt would break.

    Attributes:
        limit: Name of the setting.
        value: Its present value.
        at_s: When it fits; inf: never; None: not before an attempt has ended.
    """

    limit: str
    value: int
    at_s: float | None


@dataclass(slots=True, kw_only=True)
class Place:
    """What one attempt holds in a lane.

    Attributes:
        demand: What it may use.
        at_s: When it has arrived at the latest, for the windows of a minute.
        at_now_s: The same for those of a second.
        begun_s: When it began.
        written_tokens: Of its output, what counts in each second.
    """

    demand: Demand
    at_s: float
    at_now_s: float
    begun_s: float
    written_tokens: int
