import tomllib

from hypothesis import given
from hypothesis import strategies as st

from edgeclient.config.notation import as_key, as_toml

# TOML is UTF-8, so a lone surrogate cannot stand in it.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
PLAIN = st.one_of(TEXTS, st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False))
VALUES = st.one_of(PLAIN, st.lists(TEXTS), st.dictionaries(TEXTS, TEXTS))


@given(key=TEXTS, value=VALUES)
def test_what_is_written_is_read_back(key: str, value: object) -> None:
    assert {key: value} == tomllib.loads(f"{as_key(key)} = {as_toml(value)}\n")


def test_long_numbers_are_grouped() -> None:
    assert (as_toml(9999), as_toml(10_000), as_toml(-4_194_304)) == ("9999", "10_000", "-4_194_304")
