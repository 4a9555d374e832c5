"""The installed daemon between a device and a provider whose link is cut and mended, and a kill -9 in between."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from edgeclient.client import EdgeClient, EdgeError
from edgeclient.simulator import Fault, Simulator, SimulatorConfig
from edgeclient.v1 import chat_pb2, job_pb2, node_pb2

GUARD_S = 60


class Link:
    """A TCP relay to the provider: the cable that a test can pull."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self.port = 0

    async def mend(self) -> None:
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()
        for task in tuple(self._connections):
            task.cancel()
        if self._connections:
            await asyncio.wait(self._connections)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if self._server is None:  # accepted while the cable was pulled
            writer.close()
            return
        self._connections.add(task)
        far: asyncio.StreamWriter | None = None
        try:
            far_reader, far = await asyncio.open_connection("127.0.0.1", self._target)
            async with asyncio.TaskGroup() as group:
                group.create_task(_copy(reader, far), name="to the provider")
                group.create_task(_copy(far_reader, writer), name="to the node")
        except* (OSError, asyncio.CancelledError):
            pass
        finally:
            self._connections.discard(task)
            for each in (writer, far):
                if each is not None:
                    each.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    writer.close()


class Daemon:
    """`edgeclient serve` with a durable queue."""

    def __init__(self, directory: Path, sim: Simulator, link: Link) -> None:
        base = urlsplit(sim.base_url)
        settings = {
            "ingress.listen": "127.0.0.1:0",
            "admin.listen": "",
            "upstream.base_url": f"https://127.0.0.1:{link.port}{base.path}",
            "upstream.ca_file": str(sim.ca_file),
            "upstream.proxy": "none",
            "upstream.probe_interval_s": "1",
            "spool.directory": str(directory / "queue"),
            "spool.resume_spread_s": "0",
            "spool.retry_initial_s": "0.05",
            "log.format": "json",
        }
        self._command = [sys.executable, "-m", "edgeclient", "serve"]
        for name, value in settings.items():
            self._command += ["--set", f"{name}={value}"]
        self._process: asyncio.subprocess.Process | None = None
        self.address = ""

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *self._command, stderr=asyncio.subprocess.PIPE, env={**os.environ, "DASHSCOPE_API_KEY": "sk-test"}
        )
        assert self._process.stderr is not None
        lines = []
        while line := await self._process.stderr.readline():
            lines.append(line)
            told = json.loads(line) if line.startswith(b"{") else {}
            if told.get("event") == "node_started":
                self.address = told["listen"]
                return
        raise AssertionError(b"".join(lines).decode())

    async def end(self, number: signal.Signals) -> int:
        process = self._process
        assert process is not None
        with suppress(ProcessLookupError):
            process.send_signal(number)
        await process.communicate()
        assert process.returncode is not None
        return process.returncode


@asynccontextmanager
async def house(directory: Path) -> AsyncIterator[tuple[Simulator, Link, Daemon]]:
    async with asyncio.timeout(GUARD_S), Simulator(SimulatorConfig()) as sim:
        port = urlsplit(sim.base_url).port
        assert port is not None
        link = Link(port)
        await link.mend()
        daemon = Daemon(directory, sim, link)
        try:
            await daemon.start()
            yield sim, link, daemon
        finally:
            await daemon.end(signal.SIGKILL)
            await link.cut()


async def offline(node: EdgeClient) -> None:
    """Return when the node has noticed; calls that fail tell it."""
    while (await node.status()).uplink != node_pb2.UPLINK_STATE_OFFLINE:
        with suppress(EdgeError):
            await node.chat("Are you there?", timeout_s=2)


def chat_count(sim: Simulator) -> int:
    """Chats that have reached the provider, billed or not; probes are none."""
    return sum(entry.path.endswith("/chat/completions") for entry in sim.ledger.entries)


def queued(prompt: str, key: str = "") -> chat_pb2.ChatRequest:
    return chat_pb2.ChatRequest(prompt=prompt, idempotency_key=key, offline_policy=chat_pb2.OFFLINE_POLICY_QUEUE)


async def test_what_was_queued_offline_survives_a_kill_and_is_answered_once(tmp_path: Path) -> None:
    async with house(tmp_path) as (sim, link, daemon):
        async with EdgeClient(daemon.address, retries=False) as node:
            await link.cut()
            await offline(node)
            keyed = await node.chat(queued("one", key="k"))
            plain = await node.chat(queued("two"))
            submitted = await node.submit("three")
            billed_before = sim.ledger.totals.calls_billed
        await daemon.end(signal.SIGKILL)
        await daemon.start()
        await link.mend()

        async with EdgeClient(daemon.address, retries=False) as node:
            ids = [keyed.job_id, plain.job_id, submitted.id]
            jobs = [await node.wait_job(job_id, timeout_s=30) for job_id in ids]
            again = await node.chat(queued("one", key="k"))

        assert [job_pb2.JOB_STATE_SUCCEEDED] * 3 == [job.state for job in jobs]
        assert again.source == chat_pb2.RESPONSE_SOURCE_REPLAY
        assert again.message == jobs[0].response.message
        assert sim.ledger.totals.calls_billed - billed_before == 3
        assert await daemon.end(signal.SIGTERM) == 0


async def test_call_that_a_kill_cut_off_is_never_billed_again_under_its_key(tmp_path: Path) -> None:
    async with house(tmp_path) as (sim, _link, daemon):
        sim.faults.add(Fault(kind="hang", text="hang here", count=1))
        request = chat_pb2.ChatRequest(prompt="hang here", idempotency_key="k")
        async with EdgeClient(daemon.address, retries=False) as node:
            cut = asyncio.create_task(node.chat(request), name="cut call")
            await sim.ledger.wait_until(lambda: chat_count(sim) == 1)
            await daemon.end(signal.SIGKILL)
            with pytest.raises(EdgeError):
                await cut
        await daemon.start()

        async with EdgeClient(daemon.address) as node:  # with retries: none may spend money by itself
            for _ in range(2):
                with pytest.raises(EdgeError) as caught:
                    await node.chat(request)
                assert (caught.value.reason, caught.value.possibly_billed) == ("OUTCOME_UNKNOWN", True)
            assert chat_count(sim) == 1
            request.idempotency_key = "k2"
            assert (await node.chat(request)).source == chat_pb2.RESPONSE_SOURCE_UPSTREAM


async def test_waiting_call_goes_out_when_the_link_is_mended(tmp_path: Path) -> None:
    async with house(tmp_path) as (_sim, link, daemon), EdgeClient(daemon.address, retries=False) as node:
        await link.cut()
        await offline(node)
        request = chat_pb2.ChatRequest(prompt="wait", offline_policy=chat_pb2.OFFLINE_POLICY_WAIT)
        waiting = asyncio.create_task(node.chat(request), name="waiting call")
        await link.mend()

        assert (await waiting).source == chat_pb2.RESPONSE_SOURCE_UPSTREAM
