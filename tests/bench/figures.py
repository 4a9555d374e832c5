"""The few numbers that stand for many: medians, and how far apart the rounds were."""

from collections.abc import Sequence


def quantile(ordered: Sequence[float], share: float) -> float:
    """The value below which that share of sorted values lies; 0 if there are none."""
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else 0.0


def median(values: Sequence[float]) -> float:
    """The value in the middle; of an even number of them the mean of the two in the middle."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
