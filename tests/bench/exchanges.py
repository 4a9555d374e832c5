"""The floor of the way to the provider: a process that sends the requests of the daemon and reads the answers.

`transport` goes through the daemon's own `Transport`, `pyreqwest` calls the engine below it directly; the difference of
the two is what our transport costs. Neither builds a request body nor looks into an answer.
"""

import sys
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

from bench import payload, role
from bench.closed_loop import closed_loop
from bench.role import Facts
from pyreqwest.client import ClientBuilder

from edgeclient.config.schema import UpstreamConfig
from edgeclient.core.events import Event
from edgeclient.runtime import SystemClock
from edgeclient.upstream.exchange import Outgoing
from edgeclient.upstream.transport import Transport

_LIMIT_S = 30.0
_REQUEST_ID = "01KAJ8GZ1Y8J4N1W3T5Q6R7S8V"
_BODIES = {streamed: payload.completion_request(stream=streamed) for streamed in (False, True)}

Ask = Callable[[bool], AsyncIterator[object]]
"""Asks once, for a streamed answer or a whole one, and gives what was read, piece by piece."""


class _Key:
    """The key of the provider."""

    def current(self) -> str:
        return "sk-bench"


def through_transport(base_url: str, ca_file: str) -> Ask:
    """Ask as the daemon does."""
    config = UpstreamConfig(base_url=base_url, ca_file=ca_file, proxy="none", max_in_flight=256)

    def ignore(event: Event) -> None:
        del event

    transport = Transport(config, _Key(), observe=ignore, clock=SystemClock())

    async def ask(streamed: bool) -> AsyncIterator[object]:  # noqa: FBT001  the one thing there is to say
        outgoing = Outgoing(
            method="POST",
            path="/chat/completions",
            body=_BODIES[streamed],
            streamed=streamed,
            request_id=_REQUEST_ID,
        )
        async with transport.exchange(outgoing) as incoming:
            while piece := await incoming.read():
                yield piece

    return ask


def through_pyreqwest(base_url: str, ca_file: str) -> Ask:
    """Ask with nothing of ours in between."""
    builder = ClientBuilder().no_proxy().http2_prior_knowledge()
    client = builder.add_root_certificate_pem(Path(ca_file).read_bytes()).build()

    async def ask(streamed: bool) -> AsyncIterator[object]:  # noqa: FBT001  as above
        headers = [
            ("authorization", "Bearer sk-bench"),
            ("accept", "text/event-stream" if streamed else "application/json"),
            ("content-type", "application/json"),
            ("x-request-id", _REQUEST_ID),
        ]
        request = client.post(base_url + "/chat/completions").timeout(timedelta(seconds=_LIMIT_S))
        request = request.headers(headers).body_bytes(_BODIES[streamed])
        async with request.streamed_read_buffer_limit(0).build_streamed() as response:
            while (piece := await response.body_reader.read_chunk()) is not None:
                yield piece

    return ask


async def exchange(way: str, base_url: str, ca_file: str) -> None:
    """Ask as told until the input ends."""
    ask = {"transport": through_transport, "pyreqwest": through_pyreqwest}[way](base_url, ca_file)

    async def run(method: str, in_flight: int, duration_s: float) -> Facts:
        streamed = method != "unary"

        async def once(number: int) -> None:
            del number
            pieces = 0
            async for _ in ask(streamed):
                pieces += 1
            if not pieces:
                raise ValueError("the answer is empty")

        return await closed_loop(once, in_flight=in_flight, duration_s=duration_s)

    role.say(ready=True)
    await role.obey({"run": run})


if __name__ == "__main__":
    role.run(exchange(*sys.argv[1:]))
