"""What the kills met: a run in which every kill finds an idle node would prove nothing, so it is counted.

The first lines divide all kills; a kill may be in several of the others.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from proof.remains import Remains

IN_FLIGHT = "kills with attempts in SENDING"
ACCEPTING = "kills with accepts under way"
_NEEDED = (IN_FLIGHT, ACCEPTING, "attempts cut off while the cloud worked", "accepts cut off, stored and not told")
_ENOUGH = 200  # kills after which each of these must have been seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """One kill.

    Attributes:
        answered: The node had answered before.
        executed: It was started as a new interpreter.
        epoch_before: Of the queue, when this life began.
        left: What its files say.
        submitting: Keys of jobs that were being submitted.
        arrived: What arrived at the cloud in this life, and whether it has answered that.
        text_of: The prompt of each key in `left.sending`.
    """

    answered: bool
    executed: bool
    epoch_before: int
    left: Remains
    submitting: Collection[str]
    arrived: Mapping[str, bool]
    text_of: Mapping[str, str]


def counted(death: Death) -> Counter[str]:
    """What this kill met."""
    counts: Counter[str] = Counter({"kills": 1, f"kills of {'exec' if death.executed else 'fork'}ed nodes": 1})
    left = death.left
    begun = [attempt for attempt in left.sending if attempt.epoch == left.epoch and left.epoch > death.epoch_before]
    if not death.answered:
        counts[f"kills during start, {_how_far(death)}"] = 1
    elif begun or death.submitting:
        counts["kills under load"] = 1
    else:
        counts["kills while idle"] = 1
    counts[IN_FLIGHT] = int(bool(begun))
    counts[ACCEPTING] = int(bool(death.submitting))
    counts["kills in the middle of a write to the log"] = int(left.torn)
    for attempt in begun:
        answered = death.arrived.get(death.text_of[attempt.key])
        counts["attempts cut off in all"] += 1
        if answered is None:
            counts["attempts cut off before the request had arrived"] += 1
        else:
            counts[f"attempts cut off {'after the cloud had answered' if answered else 'while the cloud worked'}"] += 1
    for key in death.submitting:
        counts[f"accepts cut off, {'stored and not told' if key in left.stored else 'not stored'}"] += 1
    return +counts


def blind_spots(counts: Mapping[str, int]) -> list[str]:
    """What a run of some length has to have met and has not."""
    if counts.get("kills", 0) < _ENOUGH:
        return []
    return [f"a blind run: {counts['kills']} kills, and never any {name}" for name in _NEEDED if not counts.get(name)]


def _how_far(death: Death) -> str:
    if death.left.epoch <= death.epoch_before:
        return "before recovery"
    if any(attempt.is_job and attempt.epoch < death.left.epoch for attempt in death.left.sending):
        return "within recovery"
    return "after recovery"
