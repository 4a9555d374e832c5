"""A healthy cloud for each test, and a guard: no acceptance test may hang."""

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Coroutine
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any

import pytest

from edgeclient.simulator import Simulator, SimulatorConfig

GUARD_S = 40


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Guard each test. A fixture cannot do it: it runs in a task of its own."""
    for item in items:
        if isinstance(item, pytest.Function) and Path(__file__).parent in item.path.parents:
            item.obj = guarded(item.obj) if iscoroutinefunction(item.obj) else item.obj


def guarded(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., Coroutine[Any, Any, None]]:
    """The test, with an end."""

    @functools.wraps(test)
    async def limited(*arguments: Any, **more: Any) -> None:
        async with asyncio.timeout(GUARD_S):
            await test(*arguments, **more)

    return limited


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator(SimulatorConfig(keep_bodies=True)) as sim:
        yield sim
