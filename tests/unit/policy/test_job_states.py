from itertools import product

import pytest

from edgeclient.core.jobs import RUNNABLE, TERMINAL, JobState
from edgeclient.policy.job_states import TRANSITIONS, JobEvent, after, allows


@pytest.mark.parametrize(("state", "event"), list(product(JobState, JobEvent)))
def test_every_cell_leads_somewhere_or_is_an_error_that_names_it(state: JobState, event: JobEvent) -> None:
    if allows(state, event):
        assert TRANSITIONS[state, event] is after(state, event)
    else:
        with pytest.raises(LookupError, match=rf"{event}.*{state}"):
            after(state, event)


def test_terminal_states_can_only_be_erased() -> None:
    assert {JobEvent.ERASE} == {event for state, event in TRANSITIONS if state in TERMINAL}


def test_every_state_can_be_erased() -> None:
    assert all(JobState.ERASED is after(state, JobEvent.ERASE) for state in JobState)


def test_only_runnable_jobs_are_sent() -> None:
    assert set(RUNNABLE) == {state for state, event in TRANSITIONS if event is JobEvent.BEGIN}


def test_only_a_permitted_resend_leads_from_uncertain_to_another_attempt() -> None:
    ways = {event for (state, event), to in TRANSITIONS.items() if state is JobState.UNCERTAIN and to in RUNNABLE}

    assert {JobEvent.RESEND} == ways


def test_what_a_batch_of_the_provider_holds_is_sent_again_only_if_it_was_certainly_not_billed() -> None:
    ways = {event for (state, event), to in TRANSITIONS.items() if state is JobState.SUBMITTED and to in RUNNABLE}

    assert {JobEvent.RETRY, JobEvent.BLOCK} == ways
    assert (JobState.SUBMITTED, JobEvent.BEGIN) not in TRANSITIONS


def test_every_state_but_the_first_ones_can_be_reached() -> None:
    assert set(JobState) == set(TRANSITIONS.values())
