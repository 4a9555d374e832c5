"""Identifiers sort by time, are unique, and are safe anywhere."""

import re

from edgeclient.core.identifiers import new_identifier


def test_identifier_is_26_characters_of_crockford_base_32() -> None:
    assert re.fullmatch(r"[0-9A-HJKMNP-TV-Z]{26}", new_identifier(now_ms=1_800_000_000_000))


def test_identifiers_sort_by_the_time_they_were_made() -> None:
    made = [new_identifier(now_ms=now_ms) for now_ms in (0, 1, 31, 32, 1_800_000_000_000, 2**48 - 1)]

    assert sorted(made) == made


def test_identifiers_of_one_millisecond_differ() -> None:
    assert len({new_identifier(now_ms=5) for _ in range(1000)}) == 1000


def test_a_clock_before_the_epoch_does_no_harm() -> None:
    assert len(new_identifier(now_ms=-1)) == 26
