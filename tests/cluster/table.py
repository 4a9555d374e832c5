"""The table of a run, in Markdown, as it stands in the README."""

from collections.abc import Sequence

from cluster.bad_input import Mistake
from cluster.overlays import Promise
from cluster.trial import Seen

_TRIALS = ("what is applied", "objects accepted", "Pod Security", "pods run on", "refused pods", "volumes bound", "")
_MISTAKES = ("what is wrong", "where it is told", "what is told")
_MOST_CHARACTERS = 240


def trial_row(promise: Promise, seen: Seen) -> tuple[str, ...]:
    """One way to install."""
    nodes = ", ".join(seen.pods) if promise.nodes else f"{len(seen.pods)} pods, any node"
    return (
        f"`{promise.name}`" if " " in promise.name else f"`overlays/{promise.name}`",
        str(seen.objects),
        seen.level,
        nodes or "none",
        str(len(seen.refused)),
        f"{seen.volumes} of {promise.volumes}" if promise.volumes else "",
        "**not as promised**" if seen.problems else "ok",
    )


def mistake_row(mistake: Mistake, said: str) -> tuple[str, ...]:
    """One mistake."""
    lines = [line for line in said.splitlines() if any(word in line for word in mistake.wanted)] or said.splitlines()
    words = " ".join(" ".join(lines).split()).replace("|", r"\|")
    short = words if len(words) <= _MOST_CHARACTERS else f"{words[:_MOST_CHARACTERS]} ..."
    return mistake.name, mistake.shown, short


def print_trials(rows: Sequence[tuple[str, ...]]) -> None:
    """The ways to install."""
    _print(_TRIALS, rows)


def print_mistakes(rows: Sequence[tuple[str, ...]]) -> None:
    """The mistakes."""
    _print(_MISTAKES, rows)


def _print(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    if rows:
        lines = [header, ["---"] * len(header), *rows]
        print("\n".join(f"| {' | '.join(line)} |" for line in lines), end="\n\n", flush=True)  # noqa: T201
