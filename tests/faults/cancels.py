"""A device that does not want its answer any more, at every place in which its request can be.

What counts is how long it takes until nothing of it is left: at this node, by what the node's own log says; at the
cloud, by its ledger, which has to show that no token is generated any more. Both clocks are those of this machine.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import grpc.aio
from faults.forms import submit
from faults.house import House, house
from faults.kinds import CHATS, Form
from faults.polling import until

from edgeclient.simulator import Entry, Fault, Outcome, SimulatorConfig
from edgeclient.v1 import chat_pb2, job_pb2

AT_ONCE_S: Final = 0.1
TOKENS_PER_S: Final = 50
HEADERS_AFTER_S: Final = 0.4
_GUARD_S: Final = 10.0
_SLOW: Final = SimulatorConfig(keep_bodies=True, tokens_per_s=TOKENS_PER_S, tokens_per_chunk=1)
_PATIENT: Final = {
    "upstream.headers_timeout_s": "60",
    "upstream.first_token_timeout_s": "60",
    "upstream.silence_timeout_s": "60",
    "upstream.total_timeout_s": "60",
    "log.level": "debug",
}
_PENDING: Final = "edgeclient_queue_pending"

Reached = Callable[[House, str], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a request is when it is cancelled.

    Attributes:
        name: For people.
        settings: Of the daemon, by path.
        fault: Keeps it there; None: nothing has to.
        blocked: Another call holds the only place at the provider.
        sent: The cloud has heard of it.
    """

    name: str
    settings: tuple[tuple[str, str], ...] = ()
    fault: tuple[tuple[str, Any], ...] = ()
    blocked: bool = False
    sent: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancelled:
    """What became of a cancelled request.

    Attributes:
        place, form: Which one.
        here_s: Until the node was rid of it.
        there_s: Until the cloud was; None: it never heard of it.
        tokens_after: Generated after the cancel.
        sent_after: Requests that reached the cloud after the cancel.
        told: How it ended, as the node's log says.
        stays: It stands in the line all the same.
    """

    place: Place
    form: str
    here_s: float
    there_s: float | None
    tokens_after: int
    sent_after: int
    told: str
    stays: bool = False

    @property
    def problems(self) -> list[str]:
        """Every promise that was broken."""
        found = []
        if self.here_s > AT_ONCE_S:
            found.append(f"the node was rid of it after {self.here_s * 1000:.0f} ms")
        if (self.there_s or 0.0) > AT_ONCE_S:
            found.append(f"the cloud was rid of it after {(self.there_s or 0) * 1000:.0f} ms")
        if self.tokens_after > TOKENS_PER_S * AT_ONCE_S + 1:
            found.append(f"{self.tokens_after} tokens were generated afterwards")
        if self.stays:
            found.append("it still waits for its turn")
        if self.sent_after:
            found.append(f"{self.sent_after} requests were sent afterwards")
        return found


LINE: Final = Place(name="line of dispatch", settings=(("upstream.max_in_flight", "1"),), blocked=True, sent=False)
PAUSE: Final = Place(name="pause before a retry", fault=(("kind", "service_unavailable"), ("retry_after", "5")))
HEADERS: Final = Place(name="before the headers", fault=(("kind", "delay_headers"), ("delay_s", HEADERS_AFTER_S)))
STREAM: Final = Place(name="in mid-stream")
PLACES: Final = (LINE, PAUSE, HEADERS, STREAM)
FORMS: Final = ("Chat", "StreamChat", "BatchChat", "CancelJob")


async def cancels(folder: Path) -> AsyncIterator[Cancelled]:
    """Every place and form; the best of three, for a starved machine may be late and a missing cancel never comes."""
    for place in PLACES:
        async with house(folder, cloud=_SLOW, settings={**_PATIENT, **dict(place.settings)}) as it:
            for form in FORMS:
                yield await best_of(it, place, form)


@asynccontextmanager
async def slow_house(folder: Path, place: Place) -> AsyncIterator[House]:
    """A world in which requests stay at this place."""
    async with house(folder, cloud=_SLOW, settings={**_PATIENT, **dict(place.settings)}) as it:
        yield it


async def best_of(house: House, place: Place, form: str, *, turns: int = 3) -> Cancelled:
    """The first of some turns that keeps the promise, or the last."""
    for turn in range(turns):
        found = await _once(house, place, form, mark=f"cancel {place.name} {form} {turn}:")
        if not found.problems:
            break
    return found


async def _once(house: House, place: Place, form: str, *, mark: str) -> Cancelled:
    if place.fault:
        house.sim.faults.add(Fault(path=CHATS, text=mark, **dict(place.fault)))
    async with _occupied(house, mark) if place.blocked else _nothing():
        leave = await _begin(house, form, f"{mark} tell me all about pumps")
        await _arrived(house, place, mark)
        before = [(entry, entry.tokens_generated) for entry in house.entries(mark)]
        begun_s = time.time()
        job_id = await leave()
        here_s, told = await _gone_here(house, job_id, begun_s=begun_s)
        stays = place is LINE and await _somebody_waits(house)
        there_s = await _gone_there(house, mark, begun_s=begun_s)
    await house.settled()
    house.sim.faults.clear()
    tokens = sum(entry.tokens_generated - count for entry, count in before if entry.outcome is not Outcome.REFUSED)
    return Cancelled(
        place=place,
        form=form,
        here_s=here_s,
        there_s=there_s,
        tokens_after=tokens,
        sent_after=len(house.entries(mark)) - len(before),
        told=told,
        stays=stays,
    )


async def _begin(house: House, form: str, prompt: str) -> Callable[[], Awaitable[str]]:
    """Ask; returns what takes it back, which gives the id if it is a job."""
    request = chat_pb2.ChatRequest(prompt=prompt)
    call: grpc.aio.Call
    if form == "CancelJob":
        job_id = await submit(house, Form.JOB, prompt, key="")

        async def leave_job() -> str:
            await house.jobs.CancelJob(job_pb2.CancelJobRequest(job_id=job_id))
            return job_id

        return leave_job
    if form == "Chat":
        call = house.chat.Chat(request)
    elif form == "StreamChat":
        call = house.chat.StreamChat(request)
    else:
        call = house.chat.BatchChat(chat_pb2.BatchChatRequest(requests=[request]))
    reading = asyncio.ensure_future(_read(call))

    async def leave() -> str:
        call.cancel()
        with suppress(asyncio.CancelledError, grpc.aio.AioRpcError):
            await reading
        return ""

    return leave


async def _read(call: Any) -> None:
    if hasattr(call, "__aiter__"):
        async for _ in call:
            pass
    else:
        await call


async def _arrived(house: House, place: Place, mark: str) -> None:
    """Return when the request is where it is to be cancelled."""
    async with asyncio.timeout(_GUARD_S):
        if place is LINE:
            await until(lambda: _somebody_waits(house))
        elif place is PAUSE:
            await house.sim.ledger.wait_until(lambda: _any(house, mark, lambda entry: entry.status is not None))
            await asyncio.sleep(0.2)  # the answer travels, and the pause begins
        elif place is HEADERS:
            await house.sim.ledger.wait_until(lambda: _any(house, mark, lambda _: True))
        else:
            await house.sim.ledger.wait_until(lambda: _any(house, mark, lambda entry: entry.tokens_generated > 2))


def _any(house: House, mark: str, fits: Callable[[Entry], bool]) -> bool:
    return any(fits(entry) for entry in house.entries(mark))


async def _somebody_waits(house: House) -> bool:
    """Somebody waits for a turn, live or stored."""
    _, page = await house.daemon.page("/metrics")
    lines = [line for line in page.splitlines() if line.startswith(_PENDING)]
    return any(float(line.rpartition(" ")[2]) > 0 for line in lines)


async def _gone_here(house: House, job_id: str, *, begun_s: float) -> tuple[float, str]:
    """Until the node said that the call, or the job, is over."""

    def is_it(fact: dict[str, Any]) -> bool:
        mine = fact.get("job_id") == job_id if job_id else fact.get("reason") == "CANCELLED"
        return mine and _stamp(fact) >= begun_s - 0.001

    fact = await house.daemon.says("job_finished" if job_id else "call_failed", is_it)
    return max(0.0, _stamp(fact) - begun_s), str(fact.get("reason") or fact.get("state"))


async def _gone_there(house: House, mark: str, *, begun_s: float) -> float | None:
    """Until the ledger had settled all of it."""
    open_now = [entry for entry in house.entries(mark) if entry.outcome is Outcome.IN_FLIGHT]
    async with asyncio.timeout(_GUARD_S):
        await house.sim.ledger.wait_until(lambda: all(entry.outcome is not Outcome.IN_FLIGHT for entry in open_now))
    ends = [entry.time + (entry.duration_ms or 0.0) / 1000 for entry in house.entries(mark)]
    return max([0.0, *(end - begun_s for end in ends)]) if ends else None


def _stamp(fact: dict[str, Any]) -> float:
    return datetime.fromisoformat(fact["timestamp"]).timestamp()


@asynccontextmanager
async def _occupied(house: House, mark: str) -> AsyncIterator[None]:
    """Another call holds the only place."""
    call = house.chat.StreamChat(chat_pb2.ChatRequest(prompt=f"holder of {mark.removesuffix(':')}"))
    reading = asyncio.ensure_future(_read(call))
    async with asyncio.timeout(_GUARD_S):
        await house.sim.ledger.wait_until(lambda: house.sim.ledger.totals.in_flight > 0)
    try:
        yield
    finally:
        call.cancel()
        with suppress(asyncio.CancelledError, grpc.aio.AioRpcError):
            await reading


@asynccontextmanager
async def _nothing() -> AsyncIterator[None]:
    yield
