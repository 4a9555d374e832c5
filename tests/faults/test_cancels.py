"""A cancel reaches everything; the promise is 100 ms, and the best of three turns has to keep it."""

from pathlib import Path

import pytest
from faults.cancels import FORMS, PLACES, Place, best_of, slow_house
from faults.report import line_of_cancel


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.name)
async def test_nothing_is_left_of_a_cancelled_request_after_100_ms(place: Place, tmp_path: Path) -> None:
    async with slow_house(tmp_path, place) as house:
        found = [await best_of(house, place, form) for form in FORMS]

    assert [] == [line_of_cancel(each) for each in found if each.problems]
