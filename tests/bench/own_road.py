"""The road of a call inside the process, as `app.py` wires it, from validation to the turn at the provider.

The daemon's own wiring is run, and only its two ends are cut off: the port for devices, whose road is taken from it,
and the call to the provider, which answers at once. What is measured is therefore the stages and nothing else: no gRPC,
no codec, no HTTP, no network; the few microseconds of that provider are among them.
"""

import gc
import io
import sys
import time
from pathlib import Path
from typing import Any, Final
from unittest import mock

from bench import payload, role
from bench.role import Facts

from edgeclient import app
from edgeclient.config.load import load
from edgeclient.core.call import Call, Handler, Reply
from edgeclient.core.deadline import Deadline
from edgeclient.ingress.chat import ChatService
from edgeclient.runtime import SystemClock
from edgeclient.upstream.completion import Upstream

PLAIN, LIMITED, MISS, HIT, QUEUE = (
    "as installed",
    "callers, limits, prices",
    "cache: miss",
    "cache: hit",
    "with a queue",
)
KINDS: Final = (PLAIN, LIMITED, MISS, HIT, QUEUE)
_WARM_UP = 500
_CALLER = "device-7"
_TABLES = f"""
[[callers]]
name = "{_CALLER}"
token_sha256 = ["{"0" * 64}"]
requests_per_minute = 1_000_000_000
tokens_per_minute = 1_000_000_000
models = ["{payload.MODEL}"]
budget_per_day = 1e9

[[limits]]
model = "*"
requests_per_minute = 1_000_000_000
tokens_per_minute = 1_000_000_000_000

[[prices]]
model = "{payload.MODEL}"
input_per_million = 0.8
output_per_million = 2.0
"""


class Roads:
    """A road of each kind.

    Args:
        directory: For the configuration and the queue.
    """

    def __init__(self, directory: Path) -> None:
        self._roads: dict[str, Handler] = {}
        tables = directory / "limits.toml"
        tables.write_text(_TABLES, encoding="utf-8")
        for kind in KINDS:
            queue = {"spool.directory": str(directory / "queue")} if kind == QUEUE else {}
            self._roads[kind] = _road(tables if kind == LIMITED else None, queue)
        self._number = 0

    async def run(self, kind: str, calls: int) -> Facts:
        """Answer so many calls one after the other; seconds that passed and seconds of CPU of each."""
        road = self._roads[kind]
        seconds, cpu = [], []
        with mock.patch.object(Upstream, "__call__", _provider):
            for number in range(-_WARM_UP, calls):
                call = self._call(kind)
                begun_s, cpu_s = time.perf_counter(), time.thread_time()
                await road(call)
                if number >= 0:
                    cpu.append(time.thread_time() - cpu_s)
                    seconds.append(time.perf_counter() - begun_s)
        return {"seconds": seconds, "cpu": cpu}

    def _call(self, kind: str) -> Call:
        self._number += 1
        request = payload.chat_request(streamed=False)
        if kind in (MISS, HIT):
            request.temperature = 0.0
        if kind == MISS:
            request.prompt = f"{self._number} {request.prompt}"
        return Call(
            id="01KAJ8GZ1Y8J4N1W3T5Q6R7S8V",
            request=request,
            caller=_CALLER if kind == LIMITED else "anonymous",
            deadline=Deadline.after(300.0, now_s=time.monotonic()),
        )


def _road(tables: Path | None, settings: dict[str, str]) -> Handler:
    overrides = {"upstream.base_url": "https://127.0.0.1:9/v1", "upstream.proxy": "none"} | settings
    environ = {"DASHSCOPE_API_KEY": "sk-bench"}
    config = load(file=tables, environ=environ, overrides=overrides, default_file=Path("/nonexistent")).config
    taken: list[Handler] = []
    original = ChatService.__init__

    def take(service: ChatService, *, road: Handler, **rest: Any) -> None:
        taken.append(road)
        original(service, road=road, **rest)

    with mock.patch.object(ChatService, "__init__", take):
        app.build(config, environ=environ, clock=SystemClock(), stderr=io.BytesIO())
    [road] = taken
    return road


async def _provider(_self: Upstream, call: Call) -> Reply:
    call.attempt_count += 1
    return Reply(response=payload.chat_response())


async def answer(directory: Path) -> None:
    """Answer as told until the input ends."""
    roads = Roads(directory)
    gc.collect()
    gc.freeze()  # as the daemon does when it is made
    role.say(ready=True)
    await role.obey({"run": roads.run})


if __name__ == "__main__":
    role.run(answer(Path(sys.argv[1])))
