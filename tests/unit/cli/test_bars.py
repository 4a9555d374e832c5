"""Bars for numbers."""

from edgeclient.cli.bars import bars

ROWS = [("device-7", 8.0, "8.00"), ("传感器", 4.0, "4.00"), ("c", 0.001, "0.001"), ("none", 0.0, "0")]


def test_the_longest_bar_fills_its_place_and_the_others_their_part() -> None:
    lines = bars(ROWS, width=33, blocks=True).splitlines()

    assert lines[0] == "device-7  ████████████████   8.00"
    assert lines[1] == "传感器    ████████           4.00"


def test_little_is_more_than_nothing() -> None:
    lines = bars(ROWS, width=33, blocks=True).splitlines()

    assert lines[2] == "c         ▏                 0.001"
    assert lines[3] == "none                            0"


def test_where_blocks_cannot_be_shown_there_are_signs() -> None:
    lines = bars(ROWS, width=33, blocks=False).splitlines()

    assert lines[0].count("#") == 16
    assert lines[2].count("#") == 1
    assert all(line.replace("传感器", "").isascii() for line in lines)


def test_a_narrow_place_still_has_bars() -> None:
    assert "#" * 8 in bars([("a" * 50, 1.0, "1")], width=10, blocks=False)


def test_nothing_is_no_line() -> None:
    assert bars([], width=80, blocks=True) == ""
