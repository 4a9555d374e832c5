"""Whether a helper over the network may be asked: after two failures in a row it is left alone until a probe succeeds.

Probes are made beside the calls, so an outage costs calls two budgets in all, not one each time somebody tries. One
failure alone means little: a look-up's budget is a few milliseconds, and a fork for a snapshot takes longer. Pauses
between probes double; they begin anew only after a row of successes, because a link that is slow rather than dead
answers probes now and then. A refusal of credentials is not mended by trying: it breaks at once and pauses longest.
"""

from enum import Enum
from types import MappingProxyType

_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
_SUCCESSES_TO_FORGET = 50


class LinkState(Enum):
    """What is believed of the link."""

    WHOLE = "whole"
    DOUBTED = "doubted"
    BROKEN = "broken"


class LinkNews(Enum):
    """What a use or a probe has shown."""

    WORKED = "worked"
    FAILED = "failed"
    DENIED = "denied"
    PROBE_WORKED = "probe worked"
    PROBE_FAILED = "probe failed"


TRANSITIONS = MappingProxyType(
    {
        (LinkState.WHOLE, LinkNews.WORKED): LinkState.WHOLE,
        (LinkState.WHOLE, LinkNews.FAILED): LinkState.DOUBTED,
        (LinkState.WHOLE, LinkNews.DENIED): LinkState.BROKEN,
        (LinkState.WHOLE, LinkNews.PROBE_WORKED): LinkState.WHOLE,
        (LinkState.WHOLE, LinkNews.PROBE_FAILED): LinkState.DOUBTED,
        (LinkState.DOUBTED, LinkNews.WORKED): LinkState.WHOLE,
        (LinkState.DOUBTED, LinkNews.FAILED): LinkState.BROKEN,
        (LinkState.DOUBTED, LinkNews.DENIED): LinkState.BROKEN,
        (LinkState.DOUBTED, LinkNews.PROBE_WORKED): LinkState.WHOLE,
        (LinkState.DOUBTED, LinkNews.PROBE_FAILED): LinkState.BROKEN,
        (LinkState.BROKEN, LinkNews.WORKED): LinkState.BROKEN,  # begun before it broke; the probe decides
        (LinkState.BROKEN, LinkNews.FAILED): LinkState.BROKEN,
        (LinkState.BROKEN, LinkNews.DENIED): LinkState.BROKEN,
        (LinkState.BROKEN, LinkNews.PROBE_WORKED): LinkState.WHOLE,
        (LinkState.BROKEN, LinkNews.PROBE_FAILED): LinkState.BROKEN,
    }
)


class LinkBreaker:
    """See the module. Reads no clock.

    Attributes:
        state: What is believed now.
    """

    __slots__ = ("_denied", "_failed_count", "_worked_count", "state")

    def __init__(self) -> None:
        self.state = LinkState.WHOLE
        self._denied = False
        self._failed_count = 0
        self._worked_count = 0

    @property
    def usable(self) -> bool:
        """It may be asked."""
        return self.state is not LinkState.BROKEN

    def take(self, news: LinkNews) -> bool:
        """Take what was shown; True: the link was whole or doubted and is broken now, or the other way round."""
        before = self.state
        self.state = TRANSITIONS[before, news]
        if news in (LinkNews.WORKED, LinkNews.PROBE_WORKED):
            self._denied = False
            self._worked_count += 1
            if self._worked_count >= _SUCCESSES_TO_FORGET:
                self._failed_count = 0
        elif news is LinkNews.PROBE_FAILED or self.state is not before:
            self._worked_count = 0
            self._failed_count += 1
        self._denied |= news is LinkNews.DENIED
        return (before is LinkState.BROKEN) is not (self.state is LinkState.BROKEN)

    def pause_s(self) -> float:
        """Time until the next probe of a broken link."""
        if self._denied:
            return _LONGEST_PAUSE_S
        return min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** max(0, min(self._failed_count, 16) - 2))
