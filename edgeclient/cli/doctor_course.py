"""The order of checks: what needs what, how long each may take, and that one failure does not hide the next.

A check whose need has failed is skipped with the name of the check that failed first; all others are made. Nothing
here waits longer than its limit: what cannot be interrupted (a resolver, a disk) runs in a thread that nobody waits for
at the end of the process (`core/aside.py`).
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from edgeclient.cli.doctor_verdict import Check, Level, Verdict, failing, skipped, span

Tell = Callable[[Check], None]
_LEAST_S = 0.05
_SLACK_S = 0.2  # who has a limit of his own has the better sentence, so his comes first


class Course:
    """A row of checks, one after the other.

    Args:
        tell: Takes each check when it is done.
        ends_s: When the last has to be done, on the clock of `time.monotonic`.
        target: What is checked; "" for the node itself.
        broken: Checks of other courses that failed, as `broken` of theirs.
        reword: Puts each sentence into the terms of what is checked.

    Attributes:
        broken: For each check that failed, or could not be made, the one that failed first.
    """

    def __init__(
        self,
        tell: Tell,
        *,
        ends_s: float,
        target: str = "",
        broken: dict[str, str] | None = None,
        reword: Callable[[str], str] = str,
    ) -> None:
        self.broken: dict[str, str] = dict(broken or {})
        self._tell = tell
        self._ends_s = ends_s
        self._target = target
        self._reword = reword

    def within(self, most_s: float) -> float:
        """The limit for a step inside a check, which may take `most_s` if so much time is left."""
        return max(_LEAST_S, min(most_s, self._ends_s - time.monotonic() - _SLACK_S))

    async def take(
        self, name: str, work: Callable[[], Awaitable[Verdict]], *, needs: Sequence[str] = (), limit_s: float
    ) -> None:
        """Make a check, unless what it needs has failed."""
        root = next((self.broken[need] for need in needs if need in self.broken), "")
        left_s = self._ends_s - time.monotonic()
        begun_s = time.monotonic()
        if root:
            verdict = skipped(f"{root} failed")
            self.broken[name] = root
        elif left_s < _LEAST_S:
            verdict = skipped("no time was left for it; give a longer --timeout")
            self.broken[name] = name
        else:
            verdict = await _made(work, limit_s=min(limit_s, left_s))
            if verdict.level is Level.FAIL:
                self.broken[name] = name
        duration_s = time.monotonic() - begun_s
        reworded = verdict.reworded(self._reword)
        self._tell(Check(name=name, target=self._target, verdict=reworded, duration_s=duration_s))


async def _made(work: Callable[[], Awaitable[Verdict]], *, limit_s: float) -> Verdict:
    try:
        async with asyncio.timeout(limit_s):
            return await work()
    except TimeoutError:
        return failing(
            f"gave no result in {span(limit_s)}",
            means="something hangs: the network, or a disk",
            do=["see what the checks before it say, then try again with a longer --timeout"],
        )
    except Exception as error:  # noqa: BLE001  a defect in one check must not hide what the others find
        return failing(
            f"could not be made: {type(error).__name__}",
            seen=str(error)[:200],
            means="the check met something that it does not know",
            do=["please report it with the output of edgeclient version"],
        )
