"""The judge of a client's own limiter: admits or refuses calls, and keeps on record what it saw.

A model that no row of limits matches is not watched at all, so a simulator without limits pays nothing for them.
"""

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import Any, Final

from edgeclient.simulator.errors import ERRORS, ApiError

from .model_limits import ModelLimits
from .verdict import Rule, Use, verdict

# Minute and second of the tokens have two texts in the provider's table under one code; both read like a billing end.
ERROR_OF: Final = {
    Rule.CONCURRENCY: ERRORS["too_many_in_route"],
    Rule.RPM: ERRORS["limit_requests"],
    Rule.RPS: ERRORS["limit_requests"],
    Rule.TPM: ERRORS["insufficient_quota"],
    Rule.TPS: ERRORS["allocated_quota"],
    Rule.BURST_REQUESTS: ERRORS["limit_burst_rate"],
    Rule.BURST_TOKENS: ERRORS["limit_burst_rate"],
}
GROWTH: Final = frozenset({Rule.BURST_REQUESTS, Rule.BURST_TOKENS})


class Admission:
    """A call that was let in, until it ends."""

    __slots__ = ("_clock", "_counted", "_ended", "_use")

    def __init__(self, use: Use, clock: Callable[[], float], *, counted: int) -> None:
        self._use = use
        self._clock = clock
        self._counted = counted  # output tokens that are counted already
        self._ended = False

    def generated(self, tokens: int) -> None:
        """So many tokens of output exist by now, all together."""
        if tokens > self._counted:
            self._use.add_tokens(self._clock(), tokens - self._counted)
            self._counted = tokens

    def end(self, tokens: int) -> None:
        """The call is over, with so many tokens of output; harmless when repeated."""
        self.generated(tokens)
        if not self._ended:
            self._ended = True
            self._use.in_flight -= 1


class RateJudge:
    """Limits and use of all models."""

    def __init__(self, rows: Sequence[ModelLimits], *, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._rows = tuple(rows)
        self._uses: dict[str, tuple[ModelLimits, Use]] = {}  # bounded by the names of the model table

    @property
    def rows(self) -> tuple[ModelLimits, ...]:
        """The limits in force."""
        return self._rows

    def set_rows(self, rows: Sequence[ModelLimits]) -> None:
        """Replace the limits; what was used stays on record and counts against the new ones."""
        self._rows = tuple(rows)
        for model, (_, use) in list(self._uses.items()):
            limits = self.limits_of(model)
            if limits is None:
                del self._uses[model]
            else:
                self._uses[model] = limits, use

    def forget(self) -> None:
        """Every window is empty and every record zero; calls in flight are not counted any more."""
        self._uses.clear()

    def limits_of(self, model: str) -> ModelLimits | None:
        """The row that holds for a model."""
        return next((row for row in self._rows if fnmatchcase(model, row.model)), None)

    def admit(self, model: str, *, prompt: int, output: int, patient: bool = False) -> Admission | ApiError | None:
        """Let a call in or refuse it; None if nobody watches this model.

        Args:
            model: As it was asked for.
            prompt: Its tokens.
            output: The tokens of the answer.
            patient: The call asks again if the growth rule keeps it out; that is no refusal yet.
        """
        if not self._rows:
            return None
        limits, use = self._uses.get(model) or self._first(model)
        if limits is None or use is None:
            return None
        now_s = self._clock()
        tokens = prompt + (output if limits.reserve_output else 0)
        if (rule := verdict(limits, use, tokens=tokens, now_s=now_s)) is not None:
            if not (patient and rule in GROWTH):
                use.refused[rule] = use.refused.get(rule, 0) + 1
                if limits.refused_count:
                    use.add_request(now_s)
            return ERROR_OF[rule]
        use.admitted += 1
        use.in_flight += 1
        use.in_flight_max = max(use.in_flight_max, use.in_flight)
        use.add_request(now_s)
        use.add_tokens(now_s, tokens)
        return Admission(use, self._clock, counted=output if limits.reserve_output else 0)

    def _first(self, model: str) -> tuple[ModelLimits | None, Use | None]:
        limits = self.limits_of(model)
        if limits is None:
            return None, None
        self._uses[model] = limits, (use := Use())
        return limits, use

    def report(self) -> list[dict[str, Any]]:
        """Use and refusals by model, for the admin API and for tests."""
        now_s = self._clock()
        return [
            {
                "model": model,
                "admitted": use.admitted,
                "refused": sum(use.refused.values()),
                "refused_by_rule": {rule.value: use.refused.get(rule, 0) for rule in Rule},
                "now": {
                    "requests_per_minute": use.requests_of_minute.used(now_s),
                    "requests_per_second": use.requests_of_second.used(now_s),
                    "tokens_per_minute": use.tokens_of_minute.used(now_s),
                    "tokens_per_second": use.tokens_of_second.used(now_s),
                    "concurrency": use.in_flight,
                },
                "highest": {
                    "requests_per_minute": use.requests_of_minute.highest,
                    "requests_per_second": use.requests_of_second.highest,
                    "tokens_per_minute": use.tokens_of_minute.highest,
                    "tokens_per_second": use.tokens_of_second.highest,
                    "concurrency": use.in_flight_max,
                },
            }
            for model, (_, use) in sorted(self._uses.items())
        ]
