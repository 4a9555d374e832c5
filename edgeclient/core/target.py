"""One way to an answer: an account at a provider's region, or a model server on this site, as the route sees it.

Whoever wires a target makes its parts; the route only orders the targets, asks one at a time and learns from what comes
back.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from edgeclient.core.call import Call, Handler
from edgeclient.core.events import Uplink


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A target; see the module.

    Attributes:
        name: As in `ChatResponse.target`; no two targets share it.
        account: Name of what shares quota, key and arrears.
        tier: Lower tiers are asked first; a higher one when none of the lower ones can serve.
        weight: Share among the targets of one tier; above 0.
        local: On this node or site: asked while the others cannot be reached, and by live calls only.
        serves: Name there of the model with this id; None: it is not served there.
        attempt: One attempt, in its turn: the target's line of dispatch, then its upstream. The model is `Call.model`.
        wait_s: How long an attempt would wait for its turn there if it came at this moment, as far as is known; 0.0:
            not at all; below: nor elsewhere, for another call of its conversation is there, and comes before it. The
            model is `Call.model`; nothing is taken.
        uplink: What the node believes of the way there.
        probe: Asks it something that costs nothing; True if it answered and would take a call.
    """

    name: str
    account: str
    tier: int = 0
    weight: float = 1.0
    local: bool = False
    serves: Callable[[str], str | None]
    attempt: Handler
    wait_s: Callable[[Call, float], float]
    uplink: Callable[[], Uplink]
    probe: Callable[[], Awaitable[bool]]
