"""How fast the simulated model is: waits before the head, before the first token and between tokens, all seeded."""

from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Waits in seconds; zero everywhere means as fast as possible."""

    latency_s: float
    ttft_s: float
    token_s: float
    jitter: float
    seed: int

    @property
    def immediate(self) -> bool:
        """Nothing waits."""
        return not (self.latency_s or self.ttft_s or self.token_s)

    def random_for(self, seq: int) -> Random:
        """The source of jitter for one request."""
        return Random(f"{self.seed}/pace/{seq}" if self.jitter else 0)  # noqa: S311 - repeatable, no secret

    def spread(self, wait_s: float, random: Random) -> float:
        """`wait_s` plus or minus the jitter."""
        if not self.jitter or not wait_s:
            return wait_s
        return wait_s * (1 + self.jitter * (2 * random.random() - 1))
