"""How long to wait before the next attempt.

Full jitter: the pause is drawn evenly from zero to a ceiling that doubles with each attempt. Many nodes that failed at
the same moment come back spread out, which halves the load on a provider that recovers compared with pauses of fixed
length. What the provider asks for (`Retry-After`) is a lower bound, and the jitter goes on top of it: never sooner,
and not all at the same moment either.

The draw comes from the caller, so a decision can be repeated.
"""

from dataclasses import dataclass

_MOST_DOUBLINGS = 62  # keeps the product finite; any maximum is reached long before


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Pauses between attempts.

    Attributes:
        initial_s: Ceiling of the first pause.
        max_s: Ceiling of any pause.
    """

    initial_s: float
    max_s: float

    def ceiling_s(self, failed_count: int) -> float:
        """The longest pause after `failed_count` failed attempts in a row."""
        doublings = min(max(failed_count - 1, 0), _MOST_DOUBLINGS)
        return min(self.max_s, self.initial_s * float(1 << doublings))

    def delay_s(self, failed_count: int, *, draw: float, least_s: float = 0.0) -> float:
        """The pause before the next attempt.

        Args:
            failed_count: Attempts that have failed so far.
            draw: A random number from [0, 1).
            least_s: Earliest moment at which a repeat makes sense, from now.
        """
        return least_s + draw * self.ceiling_s(failed_count)
