"""Callers that each ask again as soon as they are answered, and what they saw.

A closed loop: the rate is what the subject can do with so many callers, never more. Latencies are therefore those of a
busy subject without a backlog; an open loop, which shows what a backlog does, is another measurement.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from itertools import count

from bench.figures import quantile
from bench.role import Facts

_SENTENCE = 200  # gRPC has paragraphs

Ask = Callable[[int], Awaitable[None]]


async def closed_loop(ask: Ask, *, in_flight: int, duration_s: float = 0.0, calls: int = 0) -> Facts:
    """Ask with `in_flight` callers for `duration_s` seconds, or `calls` times if that is given.

    Args:
        ask: Asks once; is given the number of the call. An exception counts as a failure.
        in_flight: Callers.
        duration_s: When no new call is begun any more.
        calls: How many calls are begun.
    """
    latencies_s: list[float] = []
    failures: list[str] = []
    numbers = count()
    begun_s = time.perf_counter()

    async def caller() -> None:
        for number in numbers:  # shared: each number is taken by one caller
            asked_s = time.perf_counter()
            if number >= calls if calls else asked_s - begun_s >= duration_s:
                return
            try:
                await ask(number)
            except Exception as error:  # noqa: BLE001  a failed call is a result
                failures.append(" ".join(f"{type(error).__name__}: {error}".split())[:_SENTENCE])
            else:
                latencies_s.append(time.perf_counter() - asked_s)

    async with asyncio.TaskGroup() as group:
        for number in range(in_flight):
            group.create_task(caller(), name=f"caller {number}")
    wall_s = time.perf_counter() - begun_s
    latencies_s.sort()
    return {
        "calls": len(latencies_s),
        "failures": len(failures),
        "failure": failures[0] if failures else "",
        "wall_s": wall_s,
        "p50_ms": quantile(latencies_s, 0.50) * 1000,
        "p99_ms": quantile(latencies_s, 0.99) * 1000,
    }
