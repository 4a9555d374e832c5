"""What a fair share is, and how far from it the shares are that callers got."""

from collections.abc import Sequence


def jain(values: Sequence[float]) -> float:
    """Jain's index of fairness: 1 if all values are equal, 1/n if one has everything.

    0 of nothing at all: to serve nobody is no fairness, and must not look like it.
    """
    squares = sum(value * value for value in values)
    return sum(values) ** 2 / (len(values) * squares) if squares else 0.0


def max_min(demands: Sequence[float], capacity: float) -> list[float]:
    """The fair shares of a capacity: nobody gets more than he asks for, and what some leave is divided by the others.

    So each has the same, or all that he wants. It is what an ideal server of this capacity would have given.
    """
    shares = [0.0] * len(demands)
    left = capacity
    waiting = sorted(range(len(demands)), key=demands.__getitem__)  # the most modest first
    for done, number in enumerate(waiting):
        shares[number] = min(demands[number], left / (len(waiting) - done))
        left -= shares[number]
    return shares


def satisfaction(served: Sequence[float], demands: Sequence[float]) -> list[float]:
    """What each got as a part of his fair share of all that was served; callers who wanted nothing are left out.

    Jain's index of these is 1 exactly if everybody got his fair share. Of the served numbers alone it would not be: a
    caller who asks for little is served little, by the fairest of servers.
    """
    fair = max_min(demands, sum(served))
    return [got / share for got, share in zip(served, fair, strict=True) if share > 0]
