"""Limits per model as the provider counts them: requests and tokens of the last minute, requests of the last second.

The per-second rule (a sixtieth of RPM) is what surprises clients that still have minute budget left. Refused requests
do not count. The per-second rule for tokens and the growth rule are left out: their numbers are not public.
The clock is an argument, so the rules can be tested with values.
"""

from collections import deque

from .errors import ERRORS, ApiError

MINUTE_S = 60.0


class RateLimit:
    """Sliding windows per model."""

    def __init__(self, *, rpm: int | None, tpm: int | None) -> None:
        self._rpm = rpm
        self._tpm = tpm
        self._admitted: dict[str, deque[tuple[float, int]]] = {}  # bounded by the model table and by rpm or tpm
        self._tokens: dict[str, int] = {}

    @property
    def unlimited(self) -> bool:
        """Nothing to check."""
        return self._rpm is None and self._tpm is None

    def admit(self, model: str, *, tokens: int, now_s: float) -> ApiError | None:
        """Count the request, or say why it is refused."""
        window = self._admitted.setdefault(model, deque())
        while window and window[0][0] <= now_s - MINUTE_S:
            self._tokens[model] -= window.popleft()[1]
        if self._rpm is not None:
            last_second = 0
            for when_s, _ in reversed(window):
                if when_s <= now_s - 1:
                    break
                last_second += 1
            if len(window) >= self._rpm or last_second >= max(self._rpm // 60, 1):
                return ERRORS["limit_requests"]
        used = self._tokens.get(model, 0)
        if self._tpm is not None and used + tokens > self._tpm:
            return ERRORS["insufficient_quota"]
        window.append((now_s, tokens))
        self._tokens[model] = used + tokens
        return None
