from edgeclient.cli.text_table import table, width_of


def test_chinese_is_two_cells_wide_and_marks_none() -> None:
    assert width_of("abc") == 3
    assert width_of("通义") == 4
    assert width_of("e\u0301") == 1
    assert width_of("\u200b") == 0


def test_columns_stay_aligned_with_wide_characters() -> None:
    assert table([("a", "b"), ("通义", "c"), ("xyz", "")]) == "a     b\n通义  c\nxyz"
