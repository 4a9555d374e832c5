"""A model that the provider refuses this node keeps its own jobs waiting, and no others."""

from typing import Any

import builders
from drainer_bench import CALLER, Bench, Provider, begins, quiet, until

from edgeclient.config.spool_schema import SpoolConfig
from edgeclient.core.call import Call, Reply
from edgeclient.core.errors import CallError, ModelBlocked, Reason, Rejected, Unavailable
from edgeclient.core.events import DefectFound, KeyChanged
from edgeclient.core.job_events import JobFinished, JobStarted, SpoolPaused, SpoolResumed
from edgeclient.core.jobs import JobState
from edgeclient.spool.lane import STORAGE_PAUSE_S

MAX, PLUS, FLASH = "qwen-max", "qwen-plus", "qwen-flash"


class Choosy(Provider):
    """Refuses some models, and keeps who asked for which."""

    def __init__(self, *refused: str) -> None:
        super().__init__()
        self.refused = set(refused)
        self.other_error: CallError | None = None

    async def __call__(self, call: Call) -> Reply:
        model = call.request.model
        if model in self.refused:
            await begins(call)
            call.attempt_count += 1
            self.calls.append(call)
            no_access = ModelBlocked(
                Reason.ERROR_REASON_MODEL_NOT_FOUND, "no access", detail=f"to {call.request.prompt}"
            )
            raise self.other_error or no_access
        return await super().__call__(call)

    def asked_for(self, model: str) -> list[str]:
        return [call.id for call in self.calls if call.request.model == model]


def bench(*refused: str, **config: float) -> Bench:
    facts = {"resume_spread_s": 0.0, "max_in_flight": 4} | config
    return Bench(config=SpoolConfig(**facts), provider=Choosy(*refused), admit=name_model)  # type: ignore[arg-type]


def name_model(call: Call) -> None:
    call.model = builders.model(id=call.request.model)


async def accept(made: Bench, model: str, count: int, **over: Any) -> list[str]:
    ids = [f"{model}-{len(made.spool._rows)}-{place}" for place in range(count)]
    for job_id in ids:
        await made.accept(job_id, request=builders.chat_request(model=model, prompt=job_id), **over)
    return ids


def states(made: Bench, ids: list[str]) -> set[JobState]:
    return {made.job(job_id).state for job_id in ids}


def asked_for(made: Bench, model: str) -> list[str]:
    assert isinstance(made.provider, Choosy)
    return made.provider.asked_for(model)


def permit(made: Bench, model: str) -> None:
    assert isinstance(made.provider, Choosy)
    made.provider.refused.discard(model)


async def test_jobs_for_other_models_go_on_at_once() -> None:
    made = bench(MAX)
    async with made.running():
        forbidden = await accept(made, MAX, 5)
        free = await accept(made, PLUS, 5)
        forbidden += await accept(made, MAX, 5)
        await quiet()

    assert {JobState.SUCCEEDED} == states(made, free)
    assert {JobState.QUEUED} == states(made, forbidden)
    assert 1 == len(asked_for(made, MAX))
    assert {0} == {made.job(job_id).attempt_count for job_id in forbidden}


async def test_one_job_a_minute_tries_a_closed_model_and_they_take_turns() -> None:
    made = bench(MAX)
    async with made.running():
        forbidden = await accept(made, MAX, 20)
        for _ in range(10):
            await quiet()
            made.clock.advance(59.9)
            await quiet()
            made.clock.advance(0.1)
        await quiet()

    assert [forbidden[0], *forbidden[:10]] == asked_for(made, MAX)


async def test_while_one_tries_no_other_is_sent() -> None:
    made = bench(MAX)
    async with made.running():
        await accept(made, MAX, 5)
        await accept(made, PLUS, 3)  # the lane is wider than one
        await quiet()
        permit(made, MAX)
        made.provider.holds = True
        made.clock.advance(60.0)
        await accept(made, MAX, 1)
        await quiet()
        assert 1 == len(made.provider.open)

        made.provider.answer(next(iter(made.provider.open)))
        await quiet()
        assert 4 == len(made.provider.open)


async def test_closing_and_opening_are_told_once_with_the_model_and_without_words_of_others() -> None:
    made = bench(MAX)
    async with made.running():
        forbidden = await accept(made, MAX, 20)
        for _ in range(3):
            await quiet()
            made.clock.advance(60.0)
        permit(made, MAX)
        await quiet()

    assert {JobState.SUCCEEDED} == states(made, forbidden)
    assert [SpoolPaused(cause="MODEL_NOT_FOUND", problem="no access", model=MAX)] == made.told(SpoolPaused)
    assert [SpoolResumed(cause="MODEL_NOT_FOUND", duration_s=180.0, model=MAX)] == made.told(SpoolResumed)


async def test_models_are_closed_each_for_itself() -> None:
    made = bench(MAX, FLASH)
    async with made.running():
        await accept(made, MAX, 3)
        of_flash = await accept(made, FLASH, 3)
        await quiet()
        permit(made, FLASH)
        made.clock.advance(60.0)
        await quiet()

    assert {JobState.SUCCEEDED} == states(made, of_flash)
    assert {MAX, FLASH} == {event.model for event in made.told(SpoolPaused)}
    assert [FLASH] == [event.model for event in made.told(SpoolResumed)]


async def test_each_job_is_told_to_have_started_once() -> None:
    made = bench(MAX)
    async with made.running():
        forbidden = await accept(made, MAX, 4)
        await quiet()
        made.clock.advance(60.0)
        await quiet()
        permit(made, MAX)
        made.clock.advance(60.0)
        await quiet()

    assert sorted(forbidden) == sorted(event.job_id for event in made.told(JobStarted))


async def test_refusal_of_the_request_itself_shows_that_its_model_is_open() -> None:
    made = bench(MAX)
    async with made.running():
        await accept(made, MAX, 3)
        await quiet()
        made.provider.other_error = Rejected(Reason.ERROR_REASON_CONTENT_BLOCKED, "no")  # type: ignore[attr-defined]
        made.clock.advance(60.0)
        await quiet()

    assert 1 == len(made.told(SpoolResumed))
    assert 3 == made.spool.stats().by_state[JobState.FAILED]


async def test_try_that_did_not_reach_the_provider_opens_nothing() -> None:
    made = bench(MAX)
    async with made.running():
        await accept(made, MAX, 3)
        await quiet()
        made.provider.other_error = Unavailable(Reason.ERROR_REASON_UPLINK_OFFLINE, "no way")  # type: ignore[attr-defined]
        made.clock.advance(60.0)
        await quiet()

    assert 2 == len(asked_for(made, MAX))
    assert [] == made.told(SpoolResumed)


async def test_new_key_is_tried_at_once() -> None:
    made = bench(MAX)
    async with made.running():
        forbidden = await accept(made, MAX, 5)
        await quiet()
        made.drainer.key_changed(KeyChanged(source="file"))
        await quiet()
        assert 2 == len(asked_for(made, MAX))  # one more, and not all of them

        permit(made, MAX)
        made.drainer.key_changed(KeyChanged(source="file"))
        await quiet()

    assert {JobState.SUCCEEDED} == states(made, forbidden)


async def test_conversation_waits_for_its_job_whose_model_is_closed() -> None:
    made = bench(MAX)
    async with made.running():
        first = await accept(made, MAX, 1, conversation_id="c")
        second = await accept(made, PLUS, 1, conversation_id="c")
        await quiet()
        assert [] == asked_for(made, PLUS)

        permit(made, MAX)
        made.clock.advance(60.0)
        await quiet()

    assert [*first, *second] == [call.id for call in made.provider.calls[1:]]


async def test_job_that_leaves_while_set_aside_is_never_sent_and_the_last_one_ends_the_pause() -> None:
    made = bench(MAX)
    async with made.running():
        refused, cancelled, expired = [(await accept(made, MAX, 1, ttl_s=ttl_s))[0] for ttl_s in (3600.0, 3600.0, 50.0)]
        await quiet()
        await made.spool.cancel(CALLER, cancelled)
        await quiet()
        made.clock.advance(50.2)
        await quiet()
        assert JobState.EXPIRED is made.job(expired).state
        await made.spool.erase(CALLER, refused)
        await quiet()
        made.clock.advance(60.0)
        await quiet()

    assert [refused] == asked_for(made, MAX)
    assert [cancelled, expired, refused] == [event.job_id for event in made.told(JobFinished)]
    assert 1 == len(made.told(SpoolPaused)) == len(made.told(SpoolResumed))
    assert not made.drainer._models
    assert {} == made.drainer._room._aside


async def test_job_that_is_cancelled_while_its_model_is_looked_up_is_told_once_and_gone() -> None:
    made = bench(MAX)
    peek = made.spool.peek
    second = f"{MAX}-1-0"

    async def late(job_id: str) -> object:
        found = await peek(job_id)
        if job_id == second:
            await made.spool.cancel(CALLER, job_id)
        return found

    made.spool.peek = late  # type: ignore[method-assign, assignment]  # only here
    async with made.running():
        await accept(made, MAX, 1)
        await quiet()
        await accept(made, MAX, 1)
        await quiet()
        permit(made, MAX)
        made.clock.advance(60.0)
        await quiet()
        made.clock.advance(60.0)
        await quiet()

    assert second not in asked_for(made, MAX)
    assert ["succeeded", "cancelled"] == sorted((event.state for event in made.told(JobFinished)), reverse=True)
    assert 0 == len(made.drainer._room)


async def test_request_that_is_not_valid_any_more_fails_though_a_model_is_closed() -> None:
    def refuse(call: Call) -> None:
        name_model(call)
        if call.request.model == PLUS:
            raise Rejected(Reason.ERROR_REASON_MODEL_NOT_FOUND, "gone")
        if call.request.model == FLASH:
            raise ZeroDivisionError

    made = bench(MAX)
    made.admit = refuse
    made.drainer = made.started()
    async with made.running():
        await accept(made, MAX, 1)
        await quiet()
        others = [*await accept(made, PLUS, 1), *await accept(made, FLASH, 1)]
        await quiet()

    assert {JobState.FAILED} == states(made, others)
    assert 1 == len(made.told(DefectFound))


async def test_storage_that_fails_while_a_model_is_looked_up_pauses() -> None:
    made = bench(MAX)
    async with made.running():
        await accept(made, MAX, 1)
        await quiet()
        free = await accept(made, PLUS, 1)
        made.spool.broken = True
        await quiet()
        assert ["MODEL_NOT_FOUND", "STORAGE_UNAVAILABLE"] == [event.cause for event in made.told(SpoolPaused)]

        made.spool.broken = False
        made.clock.advance(STORAGE_PAUSE_S)
        await until(lambda: made.job(free[0]).state is JobState.SUCCEEDED)


async def test_thousand_forbidden_jobs_delay_nobody_and_cost_one_request() -> None:
    made = bench(MAX)
    await accept(made, MAX, 1000, caller="chatty")
    async with made.running():
        free = await accept(made, PLUS, 1, caller="quiet")
        await until(lambda: made.job(free[0]).state is JobState.SUCCEEDED)
        assert len(made.drainer._room._aside_for) < 50  # it came in its turn
        while len(made.drainer._room._aside_for) < 1000:
            await quiet()

    assert 1 == len(asked_for(made, MAX))
