"""The table of a batch: what may be ordered, and what may be given back."""

from itertools import product

import pytest

from edgeclient.policy.provider_batch import RESTS, TRANSITIONS, BatchEvent, BatchState, Rest, after


@pytest.mark.parametrize(("state", "event"), list(product(BatchState, BatchEvent)))
def test_every_cell_is_a_state_or_an_error_that_names_both(state: BatchState, event: BatchEvent) -> None:
    if (state, event) in TRANSITIONS:
        assert after(state, event) in BatchState
    else:
        with pytest.raises(LookupError, match=rf"{event}.*{state}"):
            after(state, event)


def test_jobs_are_given_back_only_before_the_provider_is_known_to_have_them() -> None:
    before = {state for state, event in TRANSITIONS if event is BatchEvent.DISBAND}

    assert {BatchState.PLANNED, BatchState.UPLOADED, BatchState.CREATING} == before


def test_a_batch_is_ordered_on_one_way_only() -> None:
    ways = [cell for cell, to in TRANSITIONS.items() if to is BatchState.CREATING]

    assert [(BatchState.UPLOADED, BatchEvent.INTEND)] == ways


def test_every_state_but_the_first_can_be_reached_and_all_lead_to_the_end() -> None:
    assert set(BatchState) - {BatchState.PLANNED} == set(TRANSITIONS.values())
    assert set(BatchState) - {BatchState.CLEANING} == {state for state, _ in TRANSITIONS}


def test_silence_of_a_completed_batch_is_no_proof_that_nothing_was_billed() -> None:
    assert Rest.UNKNOWN is RESTS["completed"]
    assert {"completed", "failed", "expired", "cancelled"} == set(RESTS)
