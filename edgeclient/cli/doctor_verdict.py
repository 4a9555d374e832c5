"""What a check of `edgeclient doctor` says: a level, one line, and for what is not well what to do about it.

A line alone is read when all is well; the three parts under it are for the hour in which nobody wants to think: what
was seen, what that means, what to do. A verdict holds no secret and no prompt, for it is pasted into tickets.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum


class Level(Enum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warning"
    FAIL = "FAIL"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The outcome of a check.

    Attributes:
        level: How it ended.
        line: The outcome in one line; for a skipped check the reason.
        seen: What was found, if it is not well.
        means: What that means.
        do: What to do, the likeliest first.
    """

    level: Level
    line: str
    seen: str = ""
    means: str = ""
    do: tuple[str, ...] = ()

    def reworded(self, reword: Callable[[str], str]) -> "Verdict":
        """The same in other words."""
        return Verdict(
            level=self.level,
            line=reword(self.line),
            seen=reword(self.seen),
            means=reword(self.means),
            do=tuple(map(reword, self.do)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A check that was made, or not.

    Attributes:
        name: What was checked.
        target: Name of the target that was checked; "": it concerns the node.
        verdict: The outcome.
        duration_s: How long it took.
    """

    name: str
    target: str = ""
    verdict: Verdict
    duration_s: float = 0.0


def fine(line: str) -> Verdict:
    """Nothing is wrong."""
    return Verdict(level=Level.OK, line=line)


def skipped(reason: str) -> Verdict:
    """Nothing was checked."""
    return Verdict(level=Level.SKIPPED, line=reason)


def warning(line: str, *, seen: str = "", means: str, do: Sequence[str]) -> Verdict:
    """It works, and somebody should look at it."""
    return Verdict(level=Level.WARNING, line=line, seen=seen, means=means, do=tuple(do))


def failing(line: str, *, seen: str = "", means: str, do: Sequence[str]) -> Verdict:
    """It does not work."""
    return Verdict(level=Level.FAIL, line=line, seen=seen, means=means, do=tuple(do))


def span(duration_s: float) -> str:
    """A duration as a person reads it."""
    if duration_s < 0.01:  # noqa: PLR2004  below it a digit more says something
        return f"{duration_s * 1000:.1f} ms"
    return f"{duration_s * 1000:.0f} ms" if duration_s < 1 else f"{duration_s:.1f} s"
