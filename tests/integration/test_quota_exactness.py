"""Many callers at once, and a cloud that counts: it refuses nobody, and gets nearly as much as it permits.

The judge is the simulated cloud with windows of its own. Everything between is real: dispatch, HTTP/2, TLS. The clocks
of both sides go at a third of the usual speed, so that a machine that stalls for a moment now and then, as one full of
tests does, still delivers in the time that a quiet one needs. Longer, and then the limits per minute decide as well:
`QUOTA_SECONDS=75 pytest tests/integration/test_quota_exactness.py`.
"""

import asyncio
import os
import time
from collections.abc import Callable
from typing import Any

import builders
import pytest
from upstream_end import UpstreamEnd

from edgeclient.config.catalogue import catalogue
from edgeclient.config.row_schema import CallerConfig, LimitConfig
from edgeclient.config.schema import Config
from edgeclient.core.call import Handler, road
from edgeclient.core.errors import CallError, Stopping
from edgeclient.counting import counts
from edgeclient.policy.demands import Demands
from edgeclient.policy.pricing import PriceTable
from edgeclient.policy.token_estimate import TokenEstimate
from edgeclient.simulator import ModelLimits, Simulator, SimulatorConfig
from edgeclient.stages.dispatch import Dispatch
from edgeclient.stages.dispatch.reservations import Reservations

SECONDS = float(os.environ.get("QUOTA_SECONDS", "2"))
SLOW = 3.0
CALLERS = 20
IN_FLIGHT = 50
MODEL = "qwen-plus"
LEAST_PART = 0.9
WORDS = "the boiler has ninety degrees and the pump makes a noise again today " * 2


class SlowClock:
    """The time of this machine, slowed down."""

    def monotonic_s(self) -> float:
        return time.monotonic() / SLOW

    def wall_s(self) -> float:
        return time.time()

    async def sleep(self, duration_s: float) -> None:
        await asyncio.sleep(duration_s * SLOW)

    def call_later(self, delay: float, callback: Callable[..., object], /, *args: object) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(delay * SLOW, callback, *args)


class Load:
    """So many callers, each of which asks again as soon as it was answered, until it is over."""

    def __init__(self, *, prompt: str, max_tokens: int) -> None:
        self.answered = self.tokens = 0
        self.is_over = False
        self.errors: list[CallError] = []
        self._prompt = prompt
        self._max_tokens = max_tokens

    async def run(self, answer: Handler) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(CALLERS):
                group.create_task(self._caller(answer, number))

    async def _caller(self, answer: Handler, number: int) -> None:
        turn = 0
        while not self.is_over:
            turn += 1
            request = builders.chat_request(prompt=self._prompt, max_tokens=self._max_tokens)
            call = builders.call(id=f"{number}-{turn}", request=request, caller=f"device-{number % 4}")
            try:
                reply = await answer(call)
            except Stopping:  # who waits when it is over
                return
            except CallError as error:
                self.errors.append(error)
                await asyncio.sleep(0.1)
            else:
                self.answered += 1
                usage = reply.response.usage
                self.tokens += usage.prompt_tokens + usage.completion_tokens


def dispatcher(config: Config, clock: SlowClock) -> Dispatch:
    prices = PriceTable(())
    quota = counts(config, models=catalogue(config), prices=prices, clock=clock).quota
    demands = Demands(TokenEstimate(), prices)
    return Dispatch(
        config.dispatch,
        target="dashscope",
        max_in_flight=IN_FLIGHT,
        reservations=Reservations(quota, demand=demands.demand, spent=demands.spent),
        observe=lambda _: None,
        clock=clock,
        call_later=clock.call_later,
    )


async def under_load(
    limit: LimitConfig,
    judged: ModelLimits,
    *,
    seconds: float = SECONDS,
    callers: tuple[CallerConfig, ...] = (),
    prompt: str = "hi",
    max_tokens: int = 5,
    **pace: float,
) -> tuple[Load, dict[str, Any]]:
    """The load and what the judge saw."""
    clock = SlowClock()
    load = Load(prompt=prompt, max_tokens=max_tokens)
    cloud = SimulatorConfig(limits=(judged,), **pace)  # type: ignore[arg-type]  # by name
    async with Simulator(cloud, clock=clock.monotonic_s) as sim, UpstreamEnd(sim, max_in_flight=IN_FLIGHT) as end:
        dispatch = dispatcher(builders.config(limits=[limit], callers=callers), clock)
        await end.ask(builders.call(model=builders.model(id="sim-echo")))  # the connection is there, as in a node

        def over() -> None:
            load.is_over = True
            dispatch.stop()

        clock.call_later(seconds, over)
        await load.run(road(dispatch, to=end.ask))
        (seen,) = [each for each in sim.rates.report() if each["model"] == MODEL]
    return load, seen


async def test_requests_as_many_as_the_cloud_permits_and_none_refused() -> None:
    per_minute = 1800
    load, seen = await under_load(
        LimitConfig(model="*", requests_per_minute=per_minute), ModelLimits(model=MODEL, rpm=per_minute)
    )

    assert (seen["refused"], load.errors) == (0, [])
    assert seen["highest"]["requests_per_second"] <= per_minute / 60
    assert load.answered >= LEAST_PART * per_minute / 60 * SECONDS


@pytest.mark.parametrize("reserved", [True, False])
async def test_tokens_as_many_as_the_cloud_permits_and_none_refused(reserved: bool) -> None:  # noqa: FBT001  of the table
    """Whether the cloud counts output when a call begins or as it is written."""
    per_minute = 240_000
    load, seen = await under_load(
        LimitConfig(model="*", tokens_per_minute=per_minute),
        ModelLimits(model=MODEL, tpm=per_minute, reserve_output=reserved),
        prompt=WORDS,
        max_tokens=20,
    )

    assert (seen["refused"], load.errors) == (0, [])
    assert seen["highest"]["tokens_per_minute"] <= per_minute
    assert load.tokens >= LEAST_PART * per_minute / 60 * SECONDS


async def test_answers_that_are_written_slowly_are_counted_by_the_second_all_the_same() -> None:
    """Less of the limit is used then, because nobody knows in which second the cloud counts what."""
    per_minute = 240_000
    load, seen = await under_load(
        LimitConfig(model="*", tokens_per_minute=per_minute),
        ModelLimits(model=MODEL, tpm=per_minute),
        prompt=WORDS,
        max_tokens=20,
        ttft_ms=200,
        tokens_per_s=60,
        jitter=0.3,
    )

    assert (seen["refused"], load.errors) == (0, [])
    assert load.tokens >= 0.3 * per_minute / 60 * SECONDS


async def test_concurrency_as_much_as_the_cloud_permits_and_none_refused() -> None:
    load, seen = await under_load(
        LimitConfig(model="*", max_in_flight=7), ModelLimits(model=MODEL, concurrency=7), seconds=0.5, ttft_ms=20
    )

    assert (seen["refused"], load.errors) == (0, [])
    assert seen["highest"]["concurrency"] == 7


async def test_growth_as_the_cloud_permits_and_none_refused() -> None:
    load, seen = await under_load(
        LimitConfig(model="*", growth_tokens=3000),
        ModelLimits(model=MODEL, burst_tpm=3000),
        seconds=0.7,
        prompt=WORDS,
        max_tokens=20,
    )

    assert seen["refused"] == 0
    assert seen["highest"]["tokens_per_minute"] <= 3000
    assert load.tokens >= 0.8 * 3000


async def test_the_judge_is_not_blind() -> None:
    """With limits that are too high, it refuses; so nothing above passes by itself."""
    _, seen = await under_load(
        LimitConfig(model="*", requests_per_minute=900), ModelLimits(model=MODEL, rpm=600), seconds=0.7
    )

    assert seen["refused"] > 0


async def test_a_callers_own_limit_refuses_it_and_nobody_else() -> None:
    rows = (CallerConfig(name="device-1", requests_per_minute=4), CallerConfig(name="*"))
    load, seen = await under_load(
        LimitConfig(model="*", requests_per_minute=1200), ModelLimits(model=MODEL), callers=rows, seconds=1.0
    )

    assert {"callers[0].requests_per_minute is 4 and reached"} == {error.message for error in load.errors}
    assert seen["admitted"] >= 4 + 0.5 * 20
