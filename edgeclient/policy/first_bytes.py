"""How long a target takes to give the first sign of life, so that silence can be told from work.

A call whose deadline ends before anything was heard shows nothing by itself: perhaps its caller is only impatient. But
if it waited far longer than the answers of late took to begin, the target, or the way to it, has fallen silent.

Far longer is twice the longest of the last twenty answers of the same model, streamed or whole. Of the longest, because
a target that is slow now and then must not count as dead. Twice, because where callers are so impatient that most of
their calls come to nothing, the answers that did come in time are those that began just within it: their longest is
about the callers' deadline, and the calls that did not do it are never twice as long.

Below a second nothing is made of it, for pauses of that length belong to radio links. Before the first answer it takes
half a minute, in which any model begins to answer, also after a long prompt.
"""

from collections import deque

LEAST_S = 1.0
UNKNOWN_S = 30.0
_LAST = 20
_TIMES = 2.0
_MOST_KINDS = 256  # callers may ask for any dated snapshot of a model


class FirstBytes:
    """What was seen of one model at one target, of its streamed answers or of those that come as a whole."""

    __slots__ = ("_seen",)

    def __init__(self) -> None:
        self._seen: deque[float] = deque(maxlen=_LAST)

    def __repr__(self) -> str:
        return f"<FirstBytes {sorted(self._seen)}>"

    def learn(self, took_s: float) -> None:
        """An answer has begun so long after its request left."""
        self._seen.append(took_s)

    def is_overdue(self, waited_s: float) -> bool:
        """Whether an answer would have begun in this time if the target were well."""
        return waited_s >= (max(LEAST_S, _TIMES * max(self._seen)) if self._seen else UNKNOWN_S)


class FirstBytesOfTarget:
    """Those of one target."""

    __slots__ = ("_kinds",)

    def __init__(self) -> None:
        self._kinds: dict[tuple[str, bool], FirstBytes] = {}

    def of(self, model_id: str, *, streamed: bool) -> FirstBytes:
        """Those of one model, streamed or whole."""
        key = model_id, streamed
        found = self._kinds.get(key)
        if found is None:
            if len(self._kinds) >= _MOST_KINDS:
                del self._kinds[next(iter(self._kinds))]
            found = self._kinds[key] = FirstBytes()
        return found
