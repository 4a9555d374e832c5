"""An answer is given again where that is wanted and honest, and told as what it is."""

from typing import Any, Protocol

import builders
import pytest
from cache_bench import cache_config
from fakes.cache import DictCache
from fakes.clock import FakeClock

from edgeclient.core.cache_events import AnswerKept, AnswerReused, CacheMissed
from edgeclient.core.call import Call, Delta, Reply
from edgeclient.core.errors import CallError, Reason, Rejected, Throttled, Unavailable, Uncertain
from edgeclient.core.events import Event
from edgeclient.stages.cache import Cache
from edgeclient.v1 import chat_pb2

FRESH_S = 100.0  # see cache_config


class Provider(Protocol):
    calls: list[Call]
    errors: list[CallError]
    pieces: tuple[str, ...]

    async def __call__(self, call: Call, /) -> Reply: ...


class Bench:
    def __init__(self, provider: Provider, clock: FakeClock, **settings: Any) -> None:
        self.provider = provider
        self.clock = clock
        self.cache = DictCache(clock)
        self.events: list[Event] = []
        self.stage = self.made(**settings)

    def made(self, realm: str = "https://cloud", **settings: Any) -> Cache:
        return Cache(self.cache, cache_config(**settings), realm=realm, observe=self.events.append)

    async def ask(self, policy: str = "USE", *, emit: Any = None, caller: str = "device-7", **fields: Any) -> Reply:
        self.call = call(policy, emit=emit, caller=caller, **fields)
        return await self.stage(self.call, self.provider)

    def told(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


def call(policy: str, *, emit: Any = None, caller: str = "device-7", **fields: Any) -> Call:
    request = builders.chat_request(cache_policy=chat_pb2.CachePolicy.Value(f"CACHE_POLICY_{policy}"), **fields)
    return builders.call(request=request, emit=emit, caller=caller)


@pytest.fixture
def bench(provider: Provider, clock: FakeClock) -> Bench:
    return Bench(provider, clock)


STALE: dict[str, Any] = {"offline_policy": chat_pb2.OFFLINE_POLICY_STALE}
OFFLINE = Unavailable(Reason.ERROR_REASON_UPLINK_OFFLINE, "offline")


async def test_second_call_is_answered_without_the_provider(bench: Bench) -> None:
    await bench.ask()
    bench.clock.advance(3)

    reply = await bench.ask()

    assert 1 == len(bench.provider.calls)
    response = reply.response
    assert ("answer 1", chat_pb2.RESPONSE_SOURCE_CACHE, 3) == (
        response.message.content,
        response.source,
        response.cache_age.seconds,
    )
    assert 0 == response.attempt_count


async def test_reused_answer_is_not_paid_for_again(bench: Bench) -> None:
    await bench.ask()
    await bench.ask()

    assert (bench.call.shared, bench.call.attempt_count) == (True, 0)
    (event,) = bench.told(AnswerReused)
    assert ("cache", "memory", "qwen-plus") == (event.source, event.store, event.model)


async def test_answer_kept_further_away_is_found(bench: Bench) -> None:
    await bench.ask()
    bench.cache.move_away()

    await bench.ask()

    assert 1 == len(bench.provider.calls)
    assert "disk" == bench.told(AnswerReused)[0].store


async def test_stream_is_told_before_its_first_piece_where_it_comes_from(bench: Bench) -> None:
    await bench.ask()
    bench.clock.advance(3)
    got: list[tuple[str, int, float | None, int]] = []

    async def emit(delta: Delta) -> None:
        got.append((delta.content, bench.call.source, bench.call.cache_age_s, bench.call.attempt_count))

    await bench.ask(emit=emit)

    assert [("answer 1", chat_pb2.RESPONSE_SOURCE_CACHE, 3.0, 0)] == got
    assert bench.call.committed


async def test_answer_of_a_stream_is_good_for_a_unary_call(bench: Bench) -> None:
    async def emit(_delta: Delta) -> None:
        return

    bench.provider.pieces = ("ans", "wer 1")
    await bench.ask(emit=emit)

    assert chat_pb2.RESPONSE_SOURCE_CACHE == (await bench.ask()).response.source


async def test_outdated_answer_is_not_given(bench: Bench) -> None:
    await bench.ask()
    bench.clock.advance(FRESH_S + 1)

    assert "answer 2" == (await bench.ask()).response.message.content
    assert ["absent", "outdated"] == [event.why for event in bench.told(CacheMissed)]


@pytest.mark.parametrize(("accepted_s", "asked"), [(5, 2), (50, 1), (0, 2)])
async def test_caller_says_how_old_it_may_be(bench: Bench, accepted_s: int, asked: int) -> None:
    await bench.ask()
    bench.clock.advance(20)

    await bench.ask(max_cache_age={"seconds": accepted_s})

    assert asked == len(bench.provider.calls)


async def test_caller_may_accept_what_is_outdated_for_the_node(bench: Bench) -> None:
    await bench.ask()
    bench.clock.advance(FRESH_S + 50)

    reply = await bench.ask(max_cache_age={"seconds": 3600})

    assert chat_pb2.RESPONSE_SOURCE_CACHE == reply.response.source


@pytest.mark.parametrize(
    ("first", "second", "asked"),
    [
        ("USE", "USE", 1),
        ("USE", "REFRESH", 2),
        ("USE", "BYPASS", 2),
        ("BYPASS", "USE", 2),
        ("REFRESH", "USE", 1),
        ("UNSPECIFIED", "USE", 2),
    ],
)
async def test_policies_read_and_write_as_the_contract_says(bench: Bench, first: str, second: str, asked: int) -> None:
    await bench.ask(first)
    await bench.ask(second)

    assert asked == len(bench.provider.calls)


async def test_reproducible_call_is_cached_without_being_asked(bench: Bench) -> None:
    for _ in range(2):
        await bench.ask("UNSPECIFIED", temperature=0.0)

    assert 1 == len(bench.provider.calls)


async def test_node_may_leave_it_to_callers(provider: Provider, clock: FakeClock) -> None:
    bench = Bench(provider, clock, default_policy="bypass")
    for _ in range(2):
        await bench.ask("UNSPECIFIED", temperature=0.0)

    assert 2 == len(bench.provider.calls)
    assert [] == bench.cache.asked


async def test_only_is_answered_by_the_cache_or_not_at_all(bench: Bench) -> None:
    with pytest.raises(Rejected) as caught:
        await bench.ask("ONLY")
    assert "CACHE_MISS" == caught.value.reason_name
    assert [] == bench.provider.calls
    await bench.ask()

    assert "answer 1" == (await bench.ask("ONLY")).response.message.content

    bench.clock.advance(FRESH_S + 1)
    with pytest.raises(Rejected):
        await bench.ask("ONLY")


async def test_node_without_a_cache_says_so_to_who_wants_nothing_else(provider: Provider) -> None:
    stage = Cache(None, cache_config(), realm="", observe=lambda _: None)

    with pytest.raises(Rejected, match="no cache"):
        await stage(call("ONLY"), provider)
    assert "answer 1" == (await stage(call("USE"), provider)).response.message.content


async def test_another_caller_never_gets_it_nor_asks_for_the_same_entry(bench: Bench) -> None:
    await bench.ask(caller="a")
    seen = {key.digest for key in bench.cache.asked}

    reply = await bench.ask(caller="b")

    assert chat_pb2.RESPONSE_SOURCE_UPSTREAM == reply.response.source
    assert seen.isdisjoint(key.digest for key in bench.cache.asked if key.caller == "b")


async def test_operator_may_let_callers_share(provider: Provider, clock: FakeClock) -> None:
    bench = Bench(provider, clock, shared=True)
    await bench.ask(caller="a")
    await bench.ask(caller="b")

    assert 1 == len(provider.calls)
    assert {"a", "b"} == {key.caller for key in bench.cache.asked}


async def test_answer_of_another_provider_is_not_given(bench: Bench) -> None:
    await bench.ask()
    bench.stage = bench.made(realm="https://elsewhere")
    await bench.ask()

    assert 2 == len(bench.provider.calls)


@pytest.mark.parametrize(
    ("finish_reason", "outcome"),
    [
        ("STOP", "kept"),
        ("TOOL_CALLS", "kept"),
        ("LENGTH", "unfinished"),
        ("CONTENT_FILTER", "unfinished"),
        ("OTHER", "unfinished"),
    ],
)
async def test_only_a_whole_answer_is_kept(bench: Bench, finish_reason: str, outcome: str) -> None:
    async def provider(call: Call) -> Reply:
        reply = await bench.provider(call)
        reply.response.finish_reason = chat_pb2.FinishReason.Value(f"FINISH_REASON_{finish_reason}")
        return reply

    await bench.stage(call("USE"), provider)

    assert [outcome] == [event.outcome for event in bench.told(AnswerKept)]
    assert (outcome == "kept") is bool(bench.cache.at_hand)


async def test_too_large_an_answer_is_told_and_not_kept(bench: Bench) -> None:
    bench.cache.largest_bytes = 3

    await bench.ask()

    assert ["too_large"] == [event.outcome for event in bench.told(AnswerKept)]


@pytest.mark.parametrize(
    "response",
    [
        chat_pb2.ChatResponse(job_id="01JOB"),
        chat_pb2.ChatResponse(
            source=chat_pb2.RESPONSE_SOURCE_REPLAY,
            finish_reason=chat_pb2.FINISH_REASON_STOP,
            message=chat_pb2.Message(content="old"),
        ),
    ],
)
async def test_what_the_provider_has_not_just_said_is_not_kept(bench: Bench, response: chat_pb2.ChatResponse) -> None:
    async def provider(_call: Call) -> Reply:
        return Reply(response=response)

    await bench.stage(call("USE"), provider)

    assert {} == bench.cache.at_hand
    assert [] == bench.told(AnswerKept)


async def test_failure_is_never_kept(bench: Bench) -> None:
    bench.provider.errors.append(Unavailable(Reason.ERROR_REASON_UPSTREAM_UNAVAILABLE, "503"))

    with pytest.raises(Unavailable):
        await bench.ask()

    assert "answer 2" == (await bench.ask()).response.message.content


async def test_shared_answer_is_kept_once(bench: Bench) -> None:
    async def shared(call: Call) -> Reply:
        reply = await bench.provider(call)
        reply.response.source = chat_pb2.RESPONSE_SOURCE_COALESCED
        return reply

    await bench.stage(call("USE"), shared)
    await bench.stage(call("REFRESH"), shared)

    assert ["kept"] == [event.outcome for event in bench.told(AnswerKept)]


async def test_outdated_answer_is_better_than_none_for_who_says_so(bench: Bench) -> None:
    await bench.ask()
    bench.clock.advance(FRESH_S + 1)
    bench.provider.errors.append(OFFLINE)

    reply = await bench.ask(**STALE)

    assert chat_pb2.RESPONSE_SOURCE_STALE_CACHE == reply.response.source
    assert FRESH_S + 1 == reply.response.cache_age.seconds
    assert "stale_cache" == bench.told(AnswerReused)[0].source
    assert 2 == len(bench.provider.calls)


async def test_who_does_not_say_so_is_told_of_the_outage(bench: Bench) -> None:
    await bench.ask()
    bench.clock.advance(FRESH_S + 1)
    bench.provider.errors.append(OFFLINE)

    with pytest.raises(Unavailable):
        await bench.ask()


async def test_sampled_answer_is_given_again_in_an_outage_only(bench: Bench) -> None:
    await bench.ask("UNSPECIFIED", **STALE)
    assert "answer 2" == (await bench.ask("UNSPECIFIED", **STALE)).response.message.content

    bench.provider.errors.append(OFFLINE)
    bench.cache.move_away()
    reply = await bench.ask("UNSPECIFIED", **STALE)

    assert ("answer 2", chat_pb2.RESPONSE_SOURCE_CACHE) == (reply.response.message.content, reply.response.source)


async def test_answer_of_unknown_age_is_no_fresh_one_and_told_without_an_age(bench: Bench) -> None:
    bench.cache.age_known = False
    await bench.ask()
    assert "answer 2" == (await bench.ask()).response.message.content

    bench.provider.errors.append(OFFLINE)
    reply = await bench.ask(**STALE)

    assert chat_pb2.RESPONSE_SOURCE_STALE_CACHE == reply.response.source
    assert not reply.response.HasField("cache_age")


@pytest.mark.parametrize(
    "error",
    [
        Uncertain(Reason.ERROR_REASON_UPSTREAM_TIMEOUT, "late"),
        Throttled(Reason.ERROR_REASON_UPSTREAM_RATE_LIMITED, "429", retry_after_s=1.0),
        Rejected(Reason.ERROR_REASON_CONTENT_BLOCKED, "refused"),
        Unavailable(Reason.ERROR_REASON_UPSTREAM_UNAVAILABLE, "perhaps billed", possibly_billed=True),
    ],
)
async def test_only_an_outage_is_covered_up(bench: Bench, error: CallError) -> None:
    await bench.ask(**STALE)
    bench.clock.advance(FRESH_S + 1)
    bench.provider.errors.append(error)

    with pytest.raises(type(error)):
        await bench.ask(**STALE)


async def test_stream_that_has_begun_gets_no_second_answer(bench: Bench) -> None:
    async def emit(_delta: Delta) -> None:
        return

    await bench.ask(**STALE)
    bench.clock.advance(FRESH_S + 1)
    bench.provider.pieces = ("half",)
    bench.provider.errors.append(OFFLINE)

    with pytest.raises(Unavailable):
        await bench.ask(emit=emit, **STALE)


async def test_the_answer_of_another_model_is_not_kept(bench: Bench) -> None:
    async def stand_in(call: Call, /) -> Reply:
        call.model = builders.model(id="qwen-flash")
        return await bench.provider(call)

    first = call("USE")
    await bench.stage(first, stand_in)
    await bench.ask()

    assert 2 == len(bench.provider.calls)
    assert 1 == len(bench.told(AnswerKept))


async def test_answer_of_a_stand_in_on_the_site_is_not_kept(bench: Bench) -> None:
    bench.stage = Cache(
        bench.cache, cache_config(), realm="https://cloud", observe=bench.events.append, stand_ins=["jetson"]
    )

    async def jetson(_call: Call) -> Reply:
        reply = await bench.provider(_call)
        reply.response.target = "jetson"
        return reply

    await bench.stage(call("USE"), jetson)
    assert not bench.told(AnswerKept)
    await bench.ask()
    assert [event.outcome for event in bench.told(AnswerKept)] == ["kept"]


async def test_who_asks_elsewhere_looks_and_keeps_by_the_same_rules(bench: Bench) -> None:
    job = call("USE")
    assert await bench.stage.look(job) is None

    answered = await bench.provider(job)
    bench.stage.keep(job, answered.response)

    found = await bench.stage.look(call("USE"))
    assert found is not None
    assert ("answer 1", chat_pb2.RESPONSE_SOURCE_CACHE, 0) == (
        found.response.message.content,
        found.response.source,
        found.response.attempt_count,
    )
    assert await bench.stage.look(call("USE", caller="another")) is None
    assert await bench.stage.look(call("REFRESH")) is None
    assert "answer 1" == (await bench.ask()).response.message.content


async def test_what_is_not_to_be_kept_is_not(bench: Bench) -> None:
    answered = await bench.provider(call("BYPASS"))
    for policy in ("BYPASS", "ONLY"):
        bench.stage.keep(call(policy), answered.response)

    assert not bench.cache.at_hand


async def test_who_wants_nothing_but_the_cache_looks_in_vain(bench: Bench) -> None:
    for stage in (bench.stage, Cache(None, cache_config(), realm="", observe=bench.events.append)):
        with pytest.raises(Rejected) as caught:
            await stage.look(call("ONLY"))
        assert Reason.ERROR_REASON_CACHE_MISS == caught.value.reason


async def test_outdated_answer_is_nothing_for_a_job(bench: Bench) -> None:
    await bench.ask()
    bench.clock.advance(FRESH_S + 1)
    bench.provider.errors = [OFFLINE]
    job = call("USE", **STALE)
    job.background = True

    with pytest.raises(Unavailable):
        await bench.stage(job, bench.provider)
