"""What the daemon tells the outside world, and what it must never tell: keys, prompts, answers."""

import asyncio
from pathlib import Path

import builders
import pytest
from acceptance.daemon import API_KEY, Daemon, for_cloud
from harness.cloud import CHATS, chats
from harness.rpc_failure import failure_of
from prometheus_client.parser import text_string_to_metric_families

from edgeclient.cli.exit_codes import ExitCode
from edgeclient.simulator import Fault, Simulator
from edgeclient.v1 import chat_pb2

PROMPT = "xylophone-prompt 机密"
REASONS = ("invalid_parameter", "data_inspection_failed", "internal_error", "cut", "malformed_chunk")


async def test_a_rotated_key_file_is_used_without_a_restart_and_never_shown(sim: Simulator, tmp_path: Path) -> None:
    file = tmp_path / "key"
    keys = ["sk-first-0123456789", "sk-second-9876543210"]
    file.write_text(keys[0])
    settings = {**for_cloud(sim), "upstream.api_key_file": str(file), "log.level": "debug"}
    async with Daemon(settings, key="") as daemon:
        await daemon.chat.Chat(builders.chat_request())
        fresh = file.with_suffix(".new")
        fresh.write_text(f"{keys[1]}\n")
        fresh.rename(file)
        while len({entry.key_fingerprint for entry in chats(sim)}) == 1:  # the file is looked at once a second
            await daemon.chat.Chat(builders.chat_request())
        changed = await daemon.says("key_changed")
        file.write_text("no key at all")
        while not any(fact["event"] == "key_unreadable" for fact in daemon.facts):
            await daemon.chat.Chat(builders.chat_request())
        pages = [(await daemon.page(path))[1] for path in ("/metrics", "/readyz")]
        daemon.signal()

        assert ExitCode.OK == await daemon.code()
        assert str(file) == changed["source"]
        assert 2 == len({entry.key_fingerprint for entry in chats(sim)})
        assert not any(secret in text for secret in (*keys, "no key at all") for text in (daemon.output, *pages))


@pytest.mark.parametrize("level", ["debug", "info"])
async def test_neither_prompts_nor_answers_nor_the_key_are_in_the_log(sim: Simulator, level: str) -> None:
    sim.faults.add(*(Fault(kind=kind, path=CHATS, text=f"fault {kind}") for kind in REASONS))
    async with Daemon({**for_cloud(sim), "log.level": level, "upstream.max_attempts": "1"}) as daemon:
        answer = (await daemon.chat.Chat(chat_pb2.ChatRequest(prompt=PROMPT))).message.content
        pieces = [piece.content async for piece in daemon.chat.StreamChat(chat_pb2.ChatRequest(prompt=PROMPT))]
        sentences = [
            (await failure_of(ask(chat_pb2.ChatRequest(prompt=f"{PROMPT} fault {kind}")))).sentence
            for kind in REASONS
            for ask in (daemon.chat.Chat, daemon.chat.StreamChat)
        ]
        sentences.append((await failure_of(daemon.chat.Chat(chat_pb2.ChatRequest(prompt=PROMPT, top_p=9)))).sentence)
        page = (await daemon.page("/metrics"))[1]
        daemon.signal()

        assert ExitCode.OK == await daemon.code()
        assert "".join(pieces) == answer
        for text in (daemon.output, page, *sentences):
            assert "xylophone" not in text
            assert "机密" not in text
            assert API_KEY not in text
        assert not any(line in daemon.output for line in answer.split("。") if line)
        assert ("call_answered" in daemon.output) == (level == "debug")


async def test_the_metrics_parse_and_count_the_calls(sim: Simulator) -> None:
    sim.faults.add(Fault(kind="data_inspection_failed", text="blocked"))
    async with Daemon(for_cloud(sim)) as daemon:
        for _ in range(3):
            await daemon.chat.Chat(builders.chat_request())
        await asyncio.gather(*(failure_of(daemon.chat.Chat(builders.chat_request(prompt="blocked"))) for _ in range(2)))
        status, text = await daemon.page("/metrics")
        families = list(text_string_to_metric_families(text))
        samples = [sample for family in families for sample in family.samples]

        assert 200 == status
        assert len(families) == len({family.name for family in families})
        counted = [
            sample
            for sample in samples
            if sample.name.endswith("calls_total") and sample.labels.get("method", "Chat") == "Chat"
        ]
        assert 5 == sum(sample.value for sample in counted), [sample.name for sample in samples]
        assert 2 == sum(sample.value for sample in counted if "CONTENT_BLOCKED" in sample.labels.values())


async def test_a_refused_key_is_told_at_the_start(sim: Simulator) -> None:
    sim.faults.add(Fault(kind="invalid_api_key"))
    async with Daemon(for_cloud(sim)) as daemon:
        told = await failure_of(daemon.chat.Chat(builders.chat_request()))

        assert ("FAILED_PRECONDITION", "UPSTREAM_CREDENTIALS", -1) == (told.code, told.reason, told.pushback_ms)
        assert API_KEY not in daemon.output
