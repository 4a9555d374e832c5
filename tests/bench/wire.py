"""What grouping does to the wire: TLS records and TCP segments per call, for calls that come together or one by one.

One by one, two milliseconds apart, is what a trickle of calls costs without company. Together is a burst: the order of
service releases it in groups of `dispatch.max_group_count`. Gathered is the same trickle at low priority with
`dispatch.max_queue_delay_s` long enough to collect it.
"""

import asyncio
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import uvloop
from bench import payload
from bench.daemon import base_url
from bench.figures import median
from bench.process import OTHER_CORES, Process, role

from edgeclient.config.dispatch_schema import DispatchConfig
from edgeclient.config.schema import UpstreamConfig
from edgeclient.core.call import Call, Reply
from edgeclient.core.deadline import Deadline
from edgeclient.core.dispatch_events import GroupReleased
from edgeclient.core.events import Event
from edgeclient.policy.quota import Demand, Spent
from edgeclient.runtime import SystemClock
from edgeclient.stages.dispatch import Dispatch
from edgeclient.stages.dispatch.reservations import Reservations
from edgeclient.upstream.exchange import Outgoing
from edgeclient.upstream.transport import Transport
from edgeclient.v1 import chat_pb2

BURSTS: Final = (1, 50, 200)
_APART_S: Final = 0.002
_QUIET_S: Final = 0.05
_BODY = payload.completion_request(stream=False)
_LOW = chat_pb2.ChatRequest(model=payload.MODEL, prompt=payload.PROMPT, priority=chat_pb2.PRIORITY_LOW)
_NORMAL = chat_pb2.ChatRequest(model=payload.MODEL, prompt=payload.PROMPT)
_NOTHING = Reservations(
    None,
    demand=lambda call: Demand(model="", caller=call.caller, tokens=0, cost_nanos=0),
    spent=lambda _call, _reply: Spent(tokens=0, cost_nanos=0),
)


class _Key:
    def current(self) -> str:
        return "sk-bench"


class _Way:
    """The order of service and the transport below it."""

    def __init__(self, url: str, ca_file: str, *, delay_s: float) -> None:
        self.groups: list[int] = []
        clock = SystemClock()
        config = UpstreamConfig(base_url=url, ca_file=ca_file, proxy="none")
        self.transport = Transport(config, _Key(), observe=self._observe, clock=clock)
        self.stage = Dispatch(
            DispatchConfig(max_queue_delay_s=delay_s, max_group_count=256),
            target="cloud",
            max_in_flight=256,
            reservations=_NOTHING,
            observe=self._observe,
            clock=clock,
        )

    async def ask(self, request: chat_pb2.ChatRequest) -> None:
        call = Call(id="01KAJ8GZ1Y8J4N1W3T5Q6R7S8V", request=request, caller="bench", deadline=Deadline())
        await self.stage(call, self._send)

    async def _send(self, call: Call) -> Reply:
        outgoing = Outgoing(method="POST", path="/chat/completions", body=_BODY, request_id=call.id)
        async with self.transport.exchange(outgoing) as incoming:
            while await incoming.read():
                pass
        return Reply()

    def _observe(self, event: Event) -> None:
        if isinstance(event, GroupReleased):
            self.groups.append(event.call_count)


def table(rounds: int) -> str:
    """Measure; returns the figures as text."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edgeclient-bench-")))

        def started(name: str, *rest: str) -> Process:
            return stack.enter_context(role(name, *rest, cores=OTHER_CORES, log=directory / f"{name}.log"))

        cloud = started("canned_cloud", str(directory)).hear()
        tap = started("wiretap", str(cloud["port"]))
        url = base_url(tap.hear())
        rows = uvloop.run(_measure(tap, url, cloud["ca_file"], rounds))
    head = f"{'calls':>5} {'arrival':10} {'records':>8} {'segments':>9} {'bytes':>6} {'groups':>7}  per call"
    return "\n".join([head, "-" * len(head), *rows])


async def _measure(tap: Process, url: str, ca_file: str, rounds: int) -> list[str]:
    rows = []
    for arrival, delay_s in (("one by one", 0.0), ("together", 0.0), ("gathered", 1.0)):
        way = _Way(url, ca_file, delay_s=delay_s)
        await way.ask(_NORMAL)
        for count in BURSTS:
            seen = [await _round(way, tap, count, arrival) for _ in range(rounds)]
            rows.append(_row(count, arrival, seen))
        await way.transport.close()
    return rows


async def _round(way: _Way, tap: Process, count: int, arrival: str) -> dict[str, Any]:
    await asyncio.sleep(_QUIET_S)
    tap.order("look")
    way.groups.clear()
    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(way.ask(_LOW if arrival == "gathered" else _NORMAL))
            if arrival != "together":
                await asyncio.sleep(_APART_S)
    await asyncio.sleep(_QUIET_S)
    seen = tap.order("look")
    return {name: total / count for name, total in (seen | {"groups": len(way.groups)}).items()}


def _row(count: int, arrival: str, seen: list[dict[str, Any]]) -> str:
    records, segments, size_bytes, groups = (
        median([float(each[name]) for each in seen]) for name in ("records", "segments", "bytes", "groups")
    )
    return f"{count:5} {arrival:10} {records:8.2f} {segments:9.2f} {size_bytes:6.0f} {groups:7.2f}"
