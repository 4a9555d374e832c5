import pytest
from unit.telemetry.sample_events import EVENT_TYPES, field_names, sample

from edgeclient.core.events import CallFinished, Event
from edgeclient.core.quota_events import BudgetNearlySpent, BudgetSpent
from edgeclient.telemetry.line import LEVELS, Choice, Line
from edgeclient.telemetry.lines import LINES
from edgeclient.telemetry.logs import RESERVED


def _lines(kind: type[Event]) -> tuple[Line, ...]:
    row = LINES[kind]
    if row is None:
        return ()
    return row.lines if isinstance(row, Choice) else (row,)


def test_every_event_has_a_row() -> None:
    assert set(EVENT_TYPES) == set(LINES)


@pytest.mark.parametrize("kind", EVENT_TYPES)
def test_sentences_and_keys_use_fields_of_the_event(kind: type[Event]) -> None:
    event = sample(kind)
    values = {name: getattr(event, name) for name in field_names(kind)}
    for line in _lines(kind):
        assert line.sentence.format_map(values)
        assert set(line.once_per or ()) <= set(values)
        assert line.level in LEVELS
        assert line.word.replace("_", "").isalpha()


@pytest.mark.parametrize("kind", EVENT_TYPES)
def test_no_field_hides_one_that_every_line_has(kind: type[Event]) -> None:
    assert set(field_names(kind)).isdisjoint(RESERVED) or kind is CallFinished


def test_word_means_one_event() -> None:
    words = [word for kind in EVENT_TYPES for word in {line.word for line in _lines(kind)}]

    assert len(set(words)) == len(words)


@pytest.mark.parametrize("kind", [BudgetNearlySpent, BudgetSpent])
def test_small_amounts_of_a_budget_are_told(kind: type[Event]) -> None:
    event = sample(kind, spent=0.00035, value=0.0004, currency_code="CNY")
    values = {name: getattr(event, name) for name in field_names(kind)}
    for line in _lines(kind):
        told = line.sentence.format_map(values)
        assert "0.00035 of " in told
        assert ", 0.0004 CNY a day" in told
