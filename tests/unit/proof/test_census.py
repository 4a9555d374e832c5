"""Which work a kill has met is counted right, or a blind run would look like a good one."""

from collections import Counter
from typing import Any

import pytest
from proof.census import ACCEPTING, IN_FLIGHT, Death, blind_spots, counted
from proof.remains import Attempt, Remains


def death(**over: Any) -> Death:
    facts: dict[str, Any] = {
        "answered": True, "executed": False, "epoch_before": 1, "left": Remains(epoch=2), "submitting": (),
        "arrived": {}, "text_of": {"k": "q-1-1-payload"}}  # fmt: skip
    return Death(**(facts | over))


def sending(epoch: int = 2, *, is_job: bool = True, **over: Any) -> Remains:
    return Remains(epoch=2, sending=(Attempt(key="k", id="a", epoch=epoch, is_job=is_job),), **over)


@pytest.mark.parametrize(
    ("over", "line"),
    [
        ({}, "kills while idle"),
        ({"left": sending()}, "kills under load"),
        ({"left": sending(epoch=1)}, "kills while idle"),
        ({"submitting": ["k"]}, "kills under load"),
        ({"answered": False, "left": Remains(epoch=1)}, "kills during start, before recovery"),
        ({"answered": False, "left": sending(epoch=1)}, "kills during start, within recovery"),
        ({"answered": False, "left": sending(epoch=1, is_job=False)}, "kills during start, after recovery"),
        ({"answered": False}, "kills during start, after recovery"),
    ],
)
def test_each_kill_is_in_one_class(over: dict[str, Any], line: str) -> None:
    classes = ("kills while idle", "kills under load", "kills during start")
    found = Counter({name: count for name, count in counted(death(**over)).items() if name.startswith(classes)})

    assert Counter({line: 1}) == found


@pytest.mark.parametrize(
    ("arrived", "line"),
    [
        ({}, "attempts cut off before the request had arrived"),
        ({"q-1-1-payload": False}, "attempts cut off while the cloud worked"),
        ({"q-1-1-payload": True}, "attempts cut off after the cloud had answered"),
    ],
)
def test_it_is_counted_how_far_an_attempt_was(arrived: dict[str, bool], line: str) -> None:
    counts = counted(death(left=sending(), arrived=arrived))

    assert (1, 1, 1) == (counts[line], counts["attempts cut off in all"], counts["kills with attempts in SENDING"])


def test_an_attempt_of_an_earlier_life_is_not_counted_again() -> None:
    assert 0 == counted(death(left=sending(epoch=1)))["attempts cut off in all"]
    assert 0 == counted(death(epoch_before=2, left=sending()))["attempts cut off in all"]


def test_accepts_are_counted_by_what_was_stored() -> None:
    counts = counted(death(left=Remains(epoch=2, stored=frozenset({"k1"})), submitting=["k1", "k2"]))

    assert (1, 1, 1) == (
        counts["kills with accepts under way"],
        counts["accepts cut off, stored and not told"],
        counts["accepts cut off, not stored"],
    )


def test_a_torn_log_is_counted() -> None:
    assert 1 == counted(death(left=Remains(epoch=2, torn=True)))["kills in the middle of a write to the log"]


def test_a_long_run_that_met_nothing_is_a_blind_one() -> None:
    good = {"kills": 200, IN_FLIGHT: 1, ACCEPTING: 1} | {
        "attempts cut off while the cloud worked": 1, "accepts cut off, stored and not told": 1}  # fmt: skip

    assert [] == blind_spots(good)
    assert ["a blind run: 200 kills, and never any kills with attempts in SENDING"] == blind_spots(
        good | {IN_FLIGHT: 0}
    )
    assert 4 == len(blind_spots({"kills": 200}))
    assert [] == blind_spots({"kills": 199})
