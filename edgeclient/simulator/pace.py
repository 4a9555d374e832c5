"""How fast the simulated models are: waits before the head, before the first token and between tokens, all seeded.

A pace may stand for each model, so that a load of quick and slow calls is one; and the first token of a long prompt
comes later than that of a short one, as far as the prompt is not in the context cache.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from random import Random

import msgspec


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Waits in seconds; zero everywhere means as fast as possible."""

    latency_s: float
    ttft_s: float
    token_s: float
    jitter: float
    seed: int
    prompt_token_s: float = 0.0

    @property
    def immediate(self) -> bool:
        """Nothing waits."""
        return not (self.latency_s or self.ttft_s or self.token_s or self.prompt_token_s)

    def first_token_s(self, prompt_tokens: int) -> float:
        """From the head to the first token."""
        return self.ttft_s + self.prompt_token_s * prompt_tokens

    def random_for(self, seq: int) -> Random:
        """The source of jitter for one request."""
        return Random(f"{self.seed}/pace/{seq}" if self.jitter else 0)  # noqa: S311 - repeatable, no secret

    def spread(self, wait_s: float, random: Random) -> float:
        """`wait_s` plus or minus the jitter."""
        if not self.jitter or not wait_s:
            return wait_s
        return wait_s * (1 + self.jitter * (2 * random.random() - 1))


class ModelPace(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The pace of the models that match, as a flag or the admin API writes it; what is left out is as for all.

    Attributes:
        model: Name or glob; the first row that matches holds.
        latency_ms: Before the head of an answer.
        ttft_ms: From the head to the first token.
        prefill_tokens_per_s: Speed of reading the prompt, which delays the first token; 0: no delay.
        tokens_per_s: Speed of writing; 0: as fast as possible.
        jitter: Spread of every wait; 0.2 is plus or minus 20 %.
    """

    model: str
    latency_ms: float | None = None
    ttft_ms: float | None = None
    prefill_tokens_per_s: float | None = None
    tokens_per_s: float | None = None
    jitter: float | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be a pace, naming the field."""
        for name in ("latency_ms", "ttft_ms", "prefill_tokens_per_s", "tokens_per_s"):
            if (value := getattr(self, name)) is not None and value < 0:
                raise ValueError(f"{name} is {value}, must not be negative")
        if self.jitter is not None and not 0 <= self.jitter <= 1:
            raise ValueError(f"jitter is {self.jitter}, must be between 0 and 1")

    def over(self, usual: Pace) -> Pace:
        """The usual pace with what this row changes."""
        each = seconds_each
        return replace(
            usual,
            latency_s=usual.latency_s if self.latency_ms is None else self.latency_ms / 1000,
            ttft_s=usual.ttft_s if self.ttft_ms is None else self.ttft_ms / 1000,
            prompt_token_s=usual.prompt_token_s
            if self.prefill_tokens_per_s is None
            else each(self.prefill_tokens_per_s),
            token_s=usual.token_s if self.tokens_per_s is None else each(self.tokens_per_s),
            jitter=usual.jitter if self.jitter is None else self.jitter,
        )


def seconds_each(per_s: float) -> float:
    """The time that one takes at so many a second; none for 0."""
    return 1 / per_s if per_s else 0.0


class Paces:
    """The pace of every model."""

    def __init__(self, usual: Pace, rows: Sequence[ModelPace]) -> None:
        self._usual = usual
        self._rows: tuple[ModelPace, ...] = ()
        self._of: dict[str, Pace] = {}  # bounded by the names of the model table
        self.set_rows(rows)

    @property
    def rows(self) -> tuple[ModelPace, ...]:
        """The rows in force."""
        return self._rows

    def set_rows(self, rows: Sequence[ModelPace]) -> None:
        """Replace the rows; calls under way keep their pace."""
        self._rows = tuple(rows)
        self._of.clear()

    def of(self, model: str) -> Pace:
        """The pace of a model."""
        if (pace := self._of.get(model)) is None:
            row = next((row for row in self._rows if fnmatchcase(model, row.model)), None)
            pace = self._of[model] = self._usual if row is None else row.over(self._usual)
        return pace
