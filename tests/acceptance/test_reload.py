"""The configuration of a running daemon is another one: by a signal, and by the file alone."""

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path

import builders
import pytest
from acceptance.daemon import Daemon, for_cloud
from harness.cloud import CHATS, arrived
from harness.rpc_failure import failure_of

from edgeclient.cli.exit_codes import ExitCode
from edgeclient.simulator import Fault, Simulator

TOKEN = "token-of-the-camera"
CALLER = f'[[callers]]\nname = "camera-7"\ntoken_sha256 = ["{sha256(TOKEN.encode()).hexdigest()}"]\n'
PRICE = '[[prices]]\nmodel = "qwen-flash"\ninput_per_million = 1_000_000.0\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "edgeclient.toml"
    file.write_text("")
    return file


def write(file: Path, text: str) -> None:
    file.write_text(text)


@asynccontextmanager
async def running(sim: Simulator, file: Path) -> AsyncIterator[Daemon]:
    async with Daemon(for_cloud(sim), file=file) as daemon:
        yield daemon


async def test_signal_takes_over_what_can_be_and_tells_the_rest(sim: Simulator, file: Path) -> None:
    async with running(sim, file) as daemon:
        assert (await daemon.chat.Chat(builders.chat_request())).message.content
        write(
            file,
            f'{CALLER}{PRICE}[auth]\nrequired = true\n[chat]\naliases = {{ "cheap" = "qwen-flash" }}\n'
            '[log]\nlevel = "debug"\n[upstream]\nmax_attempts = 1\n[cache]\nmax_entries = 5\n',
        )
        daemon.signal(signal.SIGHUP)
        told = await daemon.says("config_reloaded")

        assert "warning" == told["level"]
        assert "auth.required, chat.aliases, log.level, prices[qwen-flash], callers[camera-7]" == told["applied"]
        assert "upstream.max_attempts, cache.max_entries" == told["waiting"]
        refused = await failure_of(daemon.chat.Chat(builders.chat_request()))
        assert ("UNAUTHENTICATED", "CALLER_UNAUTHENTICATED") == (refused.code, refused.reason)
        mine = (("authorization", f"Bearer {TOKEN}"),)
        answer = await daemon.chat.Chat(builders.chat_request(model="cheap"), metadata=mine)
        assert "qwen-flash" == answer.model
        assert answer.usage.prompt_tokens * 1_000_000_000 == answer.usage.cost_nanos
        assert "camera-7" == (await daemon.says("call_answered"))["caller"]
        _, page = await daemon.page("/metrics")
        assert f'edgeclient_config_info{{digest="{told["digest"]}"}} 1.0' in page
        assert "edgeclient_config_waiting 2.0" in page
        assert "edgeclient_config_last_reload_successful 1.0" in page
        assert 'edgeclient_reloads_total{kind="config",outcome="success"} 1.0' in page


async def test_file_alone_is_enough(sim: Simulator, file: Path) -> None:
    async with running(sim, file) as daemon:
        write(file, '[log]\nlevel = "debug"\n')

        told = await daemon.says("config_reloaded")

        assert ("log.level", "info") == (told["applied"], told["level"])


async def test_wrong_file_changes_nothing_and_never_ends_the_daemon(sim: Simulator, file: Path) -> None:
    async with running(sim, file) as daemon:
        write(file, '[log]\nlevel = "loud"\n[chat]\nno_such_key = 1\ndefault_model = "qwen-flash"\n')
        daemon.signal(signal.SIGHUP)
        told = await daemon.says("config_rejected")

        assert "error" == told["level"]
        assert "log.level: 'loud' is none of" in told["message"]
        assert "chat.no_such_key is not a setting" in told["message"]
        assert "qwen-plus" == (await daemon.chat.Chat(builders.chat_request())).model
        _, page = await daemon.page("/metrics")
        assert "edgeclient_config_last_reload_successful 0.0" in page
        daemon.signal()
        assert ExitCode.OK == await daemon.code()


async def test_running_call_is_not_disturbed(sim: Simulator, file: Path) -> None:
    sim.faults.add(Fault(kind="slow_chunks", delay_s=0.05, path=CHATS))
    async with running(sim, file) as daemon:
        stream = daemon.chat.StreamChat(builders.chat_request())
        await arrived(sim)
        write(file, f"{CALLER}[auth]\nrequired = true\n")
        daemon.signal(signal.SIGHUP)
        await daemon.says("config_reloaded")

        pieces = [piece async for piece in stream]

        assert pieces[-1].usage.total_tokens


async def test_signal_while_it_drains_does_not_end_it(sim: Simulator, file: Path) -> None:
    sim.faults.add(Fault(kind="slow_chunks", delay_s=0.05, path=CHATS))
    async with running(sim, file) as daemon:
        stream = daemon.chat.StreamChat(builders.chat_request())
        await arrived(sim)
        daemon.signal()
        await daemon.says("node_draining")
        daemon.signal(signal.SIGHUP)
        pieces = [piece async for piece in stream]

        assert pieces[-1].usage.total_tokens
        assert ExitCode.OK == await daemon.code()
