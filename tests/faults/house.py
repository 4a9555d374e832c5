"""The world of the suite: the simulated cloud, its evil twins, a cable to them, and the daemon as a process.

The daemon has short time-outs, so that each of them fires within a second or two; nothing else of it is special. It
reaches everything over one cable, so a cell changes what the daemon meets without a restart, as the world does.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import grpc.aio
from acceptance.daemon import Daemon
from faults.cable import Cable
from faults.polling import until

import edgeclient
from edgeclient.simulator import CertificateMode, Entry, Simulator, SimulatorConfig
from edgeclient.v1 import chat_pb2, chat_pb2_grpc, job_pb2_grpc

if TYPE_CHECKING:
    from edgeclient.v1.chat_pb2_grpc import ChatServiceAsyncStub
    from edgeclient.v1.job_pb2_grpc import JobServiceAsyncStub

CONNECT_S: Final = 0.8
HEADERS_S: Final = 2.2  # longer than connecting
FIRST_TOKEN_S: Final = 3.4
SILENCE_S: Final = 0.8
TOTAL_S: Final = 5.0
KEEPALIVE_S: Final = 1.0
MAX_ATTEMPTS: Final = 3
JOB_ATTEMPTS: Final = 3
GUARD_S: Final = 20.0
SETTINGS: Final = {
    "upstream.connect_timeout_s": str(CONNECT_S),
    "upstream.headers_timeout_s": str(HEADERS_S),
    "upstream.first_token_timeout_s": str(FIRST_TOKEN_S),
    "upstream.silence_timeout_s": str(SILENCE_S),
    "upstream.total_timeout_s": str(TOTAL_S),
    "upstream.keepalive_s": str(KEEPALIVE_S),
    "upstream.keepalive_timeout_s": str(KEEPALIVE_S),
    "upstream.max_attempts": str(MAX_ATTEMPTS),
    "upstream.retry_initial_s": "0.02",
    "upstream.retry_max_s": "0.05",
    "upstream.probe_interval_s": "1",
    "upstream.max_response_bytes": str(256 * 1024),
    "spool.max_attempts": str(JOB_ATTEMPTS),
    "spool.retry_initial_s": "0.1",
    "spool.retry_max_s": "0.5",
    "spool.resume_spread_s": "0",
    "log.format": "json",
}
_TWINS: Final = {
    "expired": CertificateMode.EXPIRED,
    "not yet valid": CertificateMode.NOT_YET_VALID,
    "wrong host": CertificateMode.WRONG_HOST,
    "unknown CA": CertificateMode.VALID,
}
UNKNOWN_CA: Final = "unknown CA"
SAME_SOURCES: Final = ("env", f"PYTHONPATH={Path(edgeclient.__path__[0]).parent}")
"""Begins a daemon of the sources that are imported here, be they a copy."""
HEALTHY: Final = SimulatorConfig(keep_bodies=True)


class House:
    """See the module; `async with house(folder) as it`.

    Attributes:
        sim: The cloud, and the ledger that counts.
        second: Another one, which is always well; None: the node knows of one target only.
        cable: Between it and the daemon.
        daemon: The one that runs now.
    """

    def __init__(self, folder: Path, sim: Simulator, cable: Cable, twins: dict[str, Simulator]) -> None:
        self.sim = sim
        self.second: Simulator | None = None
        self.cable = cable
        self.daemon: Daemon
        self.settings: dict[str, str] = {}
        self._channel: grpc.aio.Channel
        self._folder = folder
        self._twins = twins
        self._life = AsyncExitStack()
        self._lives = 0
        self._turns = 0

    async def restart(self, settings: Mapping[str, str] | None = None) -> None:
        """A fresh daemon with an empty queue; settings by path, beside those of the suite."""
        await self.close()
        self._lives += 1
        base_url = self.sim.base_url.replace(f":{self.sim.port}", f":{self.cable.port}")
        file = self._targets(base_url) if self.second is not None else None
        single = {"upstream.base_url": base_url, "upstream.ca_file": str(self._trusted())}
        self.settings = {
            **SETTINGS,
            **({} if file else single),
            "spool.directory": str(self._folder / f"queue-{self._lives}"),
            **(settings or {}),
        }
        self.daemon = await self._life.enter_async_context(Daemon(self.settings, file=file, under=SAME_SOURCES))
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
        self._channel = grpc.aio.insecure_channel(self.daemon.address, options=options)
        self._life.push_async_callback(self._channel.close)

    async def close(self) -> None:
        """End the daemon."""
        await self._life.aclose()
        self._life = AsyncExitStack()

    def twin(self, name: str) -> None:
        """Lead the cable to a cloud whose certificate is wrong in this way, or with "" back to the good one."""
        self.cable.target = self._twins[name].port if name else self.sim.port

    def _targets(self, first_url: str) -> Path:
        """A configuration with two targets; the second is asked when the first cannot serve."""
        assert self.second is not None
        rows = []
        for tier, name, url, ca_file in (
            (0, "first", first_url, self._trusted()),
            (1, "second", self.second.base_url, self.second.ca_file),
        ):
            key_file = self._folder / f"{name}.key"
            key_file.write_text(f"sk-of-the-{name}")
            facts = {"name": name, "base_url": url, "ca_file": ca_file, "api_key_file": key_file}
            rows.append("".join(f'{key} = "{value}"\n' for key, value in facts.items()) + f"tier = {tier}\n")
        file = self._folder / "targets.toml"
        file.write_text("".join(f"[[targets]]\n{row}" for row in rows))
        return file

    def _trusted(self) -> Path:
        """The CAs of all clouds but one: whatever else is wrong with a certificate, it comes from a known CA."""
        bundle = self._folder / "trusted.pem"
        clouds = [self.sim, *(twin for name, twin in self._twins.items() if name != UNKNOWN_CA)]
        bundle.write_bytes(b"".join(cloud.ca_file.read_bytes() for cloud in clouds if cloud.ca_file))
        return bundle

    # what devices use

    @property
    def chat(self) -> "ChatServiceAsyncStub":
        """The chat service."""
        return chat_pb2_grpc.ChatServiceStub(self._channel)

    @property
    def jobs(self) -> "JobServiceAsyncStub":
        """The job service."""
        return job_pb2_grpc.JobServiceStub(self._channel)

    # what the oracle uses

    def mark(self) -> str:
        """Begins the next conversation, and no other one."""
        self._turns += 1
        return f"cell {self._turns:04d}:"

    def entries(self, mark: str) -> list[Entry]:
        """What has arrived at the cloud of the conversation with this mark."""
        return [entry for entry in self.sim.ledger.entries if entry.body is not None and mark in entry.body]

    def second_entries(self, mark: str) -> list[Entry]:
        """What has arrived at the second cloud."""
        assert self.second is not None
        return [entry for entry in self.second.ledger.entries if entry.body is not None and mark in entry.body]

    async def settled(self) -> None:
        """Return when the cloud works on nothing, or after a while that no time-out of the node outlasts."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(TOTAL_S + 1):
                await self.sim.ledger.wait_until(lambda: self.sim.ledger.totals.in_flight == 0)

    async def heal(self) -> None:
        """The world is well again."""
        self.sim.faults.clear()
        self.twin("")
        await self.cable.mend()

    async def traffic(self, count: int = 20) -> None:
        """Calls that nothing happens to, until all are answered: a node may repeat a share of what it is asked."""
        requests = [chat_pb2.ChatRequest(prompt=f"traffic {number}", max_tokens=5) for number in range(count)]
        batch = chat_pb2.BatchChatRequest(requests=requests)

        async def all_answered() -> bool:
            return not any([result.HasField("error") async for result in self.chat.BatchChat(batch)])

        await until(all_answered)


@asynccontextmanager
async def house(
    folder: Path,
    *,
    cloud: SimulatorConfig = HEALTHY,
    two_targets: bool = False,
    settings: Mapping[str, str] | None = None,
) -> AsyncIterator[House]:
    """A world with a daemon in it; settings by path, beside those of the suite."""
    async with AsyncExitStack() as stack:
        sim = await stack.enter_async_context(Simulator(cloud))
        twins = {
            name: await stack.enter_async_context(Simulator(SimulatorConfig(certificate=mode)))
            for name, mode in _TWINS.items()
        }
        cable = await stack.enter_async_context(Cable(sim.port))
        it = House(folder, sim, cable, twins)
        if two_targets:
            it.second = await stack.enter_async_context(Simulator(HEALTHY))
        stack.push_async_callback(it.close)
        await it.restart(settings)
        yield it
