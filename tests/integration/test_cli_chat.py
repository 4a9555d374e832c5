"""`edgeclient chat` as a process, against a real grpc.aio server."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from fakes.chat_service import REQUEST_ID, Breaks, Fails, FakeNode, Hangs, Says, served
from fakes.command_line import command, started, terminal

from edgeclient.v1 import chat_pb2


@pytest.fixture
def fake() -> FakeNode:
    return FakeNode()


@pytest.fixture
async def address(fake: FakeNode) -> AsyncIterator[str]:
    async with served(fake) as where:
        yield where


async def test_answer_is_on_stdout_and_facts_on_stderr(address: str) -> None:
    done = await command("chat", "--address", address, "hello", "there")

    assert done.out == "echo: hello there\n"
    assert "qwen-plus, by beijing, 12 + 34 tokens, CNY 0.0025, first token" in done.err
    assert REQUEST_ID in done.err
    assert done.code == 0


async def test_quiet_is_silent_on_stderr(address: str) -> None:
    done = await command("chat", "-q", "--no-stream", "hi", EDGECLIENT_ADDRESS=address)

    assert (done.code, done.out, done.err) == (0, "echo: hi\n", "")


async def test_piped_input_is_appended_to_the_prompt(address: str, fake: FakeNode) -> None:
    done = await command(
        "chat", "-q", "--address", address, "summarise", stdin="日志\nline \xff".encode("latin-1", "ignore")
    )
    await command("chat", "-q", "--address", address, stdin="只有管道\n".encode())
    await command("chat", "-q", "--address", address, "-n", "alone", stdin=b"not read")

    assert done.code == 0
    assert [request.messages[-1].content for request in fake.requests][1:] == ["只有管道", "alone"]
    assert fake.requests[0].messages[-1].content.startswith("summarise\n\n")


async def test_bytes_that_are_not_utf8_do_no_harm(address: str, fake: FakeNode) -> None:
    done = await command("chat", "-q", "--address", address, stdin=b"temp \xff\xfe 97\n")

    assert done.code == 0
    assert fake.requests[0].messages[-1].content == "temp �� 97"


async def test_no_prompt_at_all_is_a_usage_error(address: str) -> None:
    done = await command("chat", "--address", address)

    assert done.code == 2
    assert "there is no prompt" in done.err


async def test_options_reach_the_node(address: str, fake: FakeNode, tmp_path: Path) -> None:
    tools = tmp_path / "tools.json"
    tools.write_text(
        '[{"type":"function","function":{"name":"read","description":"d","parameters":{"type":"object"}}}]'
    )
    token = tmp_path / "token"
    token.write_text("secret-token\n")
    arguments = ["-m", "qwen-max", "-s", "Be brief.", "-t", "0", "--max-tokens", "9", "--thinking", "high"]
    connection: list[str | Path] = ["--token-file", token, "--timeout", "7", "--address", address]
    done = await command("chat", "-q", *arguments, "--tools", tools, "--conversation-id", "c1", *connection, "hi")

    request = fake.requests[0]
    assert done.code == 0
    assert (request.model, request.system, request.max_tokens) == ("qwen-max", "Be brief.", 9)
    assert request.HasField("temperature")
    assert request.temperature == 0
    assert request.thinking == chat_pb2.THINKING_MODE_HIGH
    assert request.conversation_id == "c1"
    assert request.tools[0].function.parameters == '{"type": "object"}'
    assert fake.metadata[0]["authorization"] == "Bearer secret-token"
    assert 6 < fake.deadlines_s[0] < 8  # gRPC rounds it up on the wire


async def test_json_is_one_readable_object(address: str, fake: FakeNode) -> None:
    fake.script["hi"] = Says(pieces=("你好",))
    done = await command("chat", "--json", "--address", address, "hi")

    assert json.loads(done.out)["message"]["content"] == "你好"
    assert "你好" in done.out
    assert json.loads(done.out)["finish_reason"] == "FINISH_REASON_STOP"
    assert done.err == ""


async def test_terminal_that_is_not_utf8_gets_escapes_in_json_and_marks_in_text(address: str, fake: FakeNode) -> None:
    fake.script["hi"] = Says(pieces=("你好",))
    as_json = await command("chat", "--json", "--address", address, "hi", PYTHONIOENCODING="ascii")
    as_text = await command("chat", "-q", "--address", address, "hi", PYTHONIOENCODING="ascii")

    assert json.loads(as_json.out)["message"]["content"] == "你好"
    assert (as_text.code, as_text.out) == (0, "??\n")


async def test_reasoning_is_shown_on_stderr_when_asked_for(address: str, fake: FakeNode) -> None:
    fake.script["hi"] = Says(pieces=("yes",), reasoning="let me think")
    hidden = await command("chat", "-q", "--address", address, "hi")
    shown = await command("chat", "-q", "--show-reasoning", "--address", address, "hi")

    assert hidden.err == ""
    assert shown.err.strip() == "let me think"
    assert shown.out == "yes\n"


@pytest.mark.parametrize(
    ("fails", "code", "told"),
    [
        (
            Fails(
                code=grpc.StatusCode.INVALID_ARGUMENT,
                reason="INVALID_REQUEST",
                message="has to be below 2",
                field="temperature",
            ),
            65,
            ["Error: has to be below 2 (INVALID_REQUEST)", "  temperature: has to be below 2", REQUEST_ID],
        ),
        (
            Fails(code=grpc.StatusCode.RESOURCE_EXHAUSTED, reason="RATE_LIMITED", retry_after_s=2.5),
            75,
            ["(RATE_LIMITED)", "Try again in 2.5 s."],
        ),
        (
            Fails(code=grpc.StatusCode.UNAVAILABLE, reason="UPSTREAM_TIMEOUT", possibly_billed=True),
            69,
            ["(UPSTREAM_TIMEOUT)", "may have charged"],
        ),
        (
            Fails(code=grpc.StatusCode.UNAUTHENTICATED, reason="CALLER_UNAUTHENTICATED", with_details=False),
            77,
            ["(CALLER_UNAUTHENTICATED)", "--token-file"],
        ),
        (Fails(code=grpc.StatusCode.FAILED_PRECONDITION, reason="UPSTREAM_CREDENTIALS"), 78, ["operator"]),
        (Fails(code=grpc.StatusCode.INTERNAL, reason="INTERNAL"), 70, [REQUEST_ID]),
    ],
)
async def test_failure_is_told_to_people_and_scripts(
    address: str, fake: FakeNode, fails: Fails, code: int, told: list[str]
) -> None:
    fake.script["hi"] = fails
    done = await command("chat", "--address", address, "hi")

    assert code == done.code
    assert done.out == ""
    assert "Traceback" not in done.err
    assert all(line in done.err for line in told), done.err
    assert len(fake.requests) == 1


async def test_cut_answer_is_shown_and_fails(address: str, fake: FakeNode) -> None:
    fails = Fails(code=grpc.StatusCode.UNAVAILABLE, reason="UPSTREAM_INTERRUPTED", possibly_billed=True)
    fake.script["hi"] = Breaks(pieces=("half",), error=fails)
    done = await command("chat", "--address", address, "hi")

    assert done.out == "half\n"
    assert done.code == 69
    assert "UPSTREAM_INTERRUPTED" in done.err


async def test_absent_node_is_one_sentence() -> None:
    done = await command("chat", "--address", "127.0.0.1:1", "hi")

    assert done.code == 69
    assert done.err.startswith("Error: no connection to the node at 127.0.0.1:1")
    assert len(done.err.splitlines()) == 2


async def test_core_of_grpc_keeps_its_lines_to_itself(address: str, tmp_path: Path) -> None:
    ca_file = tmp_path / "ca.pem"
    ca_file.write_text("no certificate")
    done = await command("chat", "--address", address, "--ca-file", ca_file, "hi")

    assert done.code == 69
    assert done.err.startswith("Error: no connection")
    assert len(done.err.splitlines()) == 2


async def test_time_out_is_temporary(address: str, fake: FakeNode) -> None:
    fake.script["hi"] = Hangs()
    done = await command("chat", "--timeout", "0.2", "--address", address, "hi")

    assert done.code == 75
    assert "--timeout" in done.err


async def test_missing_file_is_a_configuration_error() -> None:
    done = await command("chat", "--ca-file", "/nowhere/ca.pem", "hi")

    assert (done.code, done.err) == (78, "Error: cannot read /nowhere/ca.pem: No such file or directory\n")


async def test_interrupt_cancels_the_call(address: str, fake: FakeNode) -> None:
    fake.script["hi"] = Hangs(pieces=("half",))
    process = await started("chat", "--address", address, "hi")
    assert process.stdin
    assert process.stdout
    assert process.stderr
    process.stdin.close()
    async with asyncio.timeout(20):
        out = await process.stdout.readexactly(4)
        process.send_signal(signal.SIGINT)
        out += await process.stdout.read()
        err = await process.stderr.read()
        await process.wait()
        await fake.cancelled.wait()

    assert process.returncode == 130
    assert out == b"half\n"
    assert b"Traceback" not in err


async def test_closed_pipe_ends_quietly(address: str, fake: FakeNode) -> None:
    fake.script["hi"] = Says(pieces=("x" * 1000 + "\n",) * 500)
    process = await started("chat", "-q", "--address", address, "hi")
    assert process.stdin
    assert process.stdout
    assert process.stderr
    process.stdin.close()
    async with asyncio.timeout(20):
        await process.stdout.readline()
        process.stdout._transport.close()  # type: ignore[attr-defined]  # what `head` does
        err = await process.stderr.read()
        await process.wait()

    assert (process.returncode, err) == (141, b"")


async def test_session_goes_on_across_calls(address: str, fake: FakeNode, tmp_path: Path) -> None:
    session = tmp_path / "s.jsonl"
    await command("chat", "-q", "--address", address, "--session", session, "-s", "Short.", "one")
    fake.script["bad"] = Fails(code=grpc.StatusCode.INTERNAL, reason="INTERNAL")
    await command("chat", "-q", "--address", address, "--session", session, "bad")
    await command("chat", "-q", "--address", address, "--session", session, "二")

    last = fake.requests[-1]
    assert last.system == "Short."
    assert [message.content for message in last.messages] == ["one", "echo: one", "二"]
    assert len(session.read_text().splitlines()) == 5


async def test_tool_calls_are_shown_and_answered(address: str, fake: FakeNode, tmp_path: Path) -> None:
    session = tmp_path / "s.jsonl"
    call = chat_pb2.ToolCall(id="c1", name="read_temp", arguments='{"sensor":"boiler"}')
    fake.script["hot?"] = Says(tool_calls=(call,), finish_reason=chat_pb2.FINISH_REASON_TOOL_CALLS)
    asked = await command("chat", "-q", "--address", address, "--session", session, "hot?")
    forgot = await command("chat", "-q", "--address", address, "--session", session, "and?")
    answered = await command("chat", "-q", "--address", address, "--session", session, "-n", "--tool-result", "c1=97")

    assert asked.out == 'tool call c1: read_temp({"sensor":"boiler"})\n'
    assert (forgot.code, answered.code) == (2, 0)
    assert "c1" in forgot.err
    assert fake.requests[-1].messages[-1].role == chat_pb2.ROLE_TOOL
    assert answered.out == "echo: 97\n"


async def test_typed_conversation_remembers_resets_and_leaves(address: str, fake: FakeNode) -> None:
    async with terminal("chat", "-q", "--address", address) as screen:
        await screen.shows("> ")
        screen.type("你好\n")
        await screen.shows("echo: 你好")
        await screen.shows("> ")
        screen.type("again\n")
        await screen.shows("echo: again")
        screen.type("/reset\n")
        await screen.shows("(a new conversation)")
        screen.type("fresh\n")
        await screen.shows("echo: fresh")
        screen.type("/nonsense\n")
        await screen.shows("no command /nonsense")
        screen.type("/quit\n")

        assert await screen.code() == 0
    assert [len(request.messages) for request in fake.requests] == [1, 3, 1]


async def test_first_interrupt_stops_the_answer_and_second_leaves(address: str, fake: FakeNode) -> None:
    fake.script["long"] = Hangs(pieces=("begin",))
    async with terminal("chat", "-q", "--address", address) as screen:
        await screen.shows("> ")
        screen.type("long\n")
        await screen.shows("begin")
        screen.type("\x03")
        await screen.shows("(stopped")
        await screen.shows("> ")
        screen.type("next\n")
        await screen.shows("echo: next")
        await screen.shows("> ")

        assert await screen.interrupted_code() == 130
    assert fake.cancelled.is_set()
    assert [message.content for message in fake.requests[-1].messages] == ["next"]


async def test_failed_turn_does_not_end_the_conversation(address: str, fake: FakeNode) -> None:
    fake.script["bad"] = Fails(code=grpc.StatusCode.UNAVAILABLE, reason="OVERLOADED", retry_after_s=1)
    async with terminal("chat", "-q", "--address", address) as screen:
        await screen.shows("> ")
        screen.type("bad\n")
        await screen.shows("(OVERLOADED)")
        await screen.shows("> ")
        screen.type("\x04")

        assert await screen.code() == 0


async def test_control_characters_of_an_answer_stay_off_the_terminal(address: str, fake: FakeNode) -> None:
    fake.script["hi"] = Says(pieces=("a\x1b]0;title\x07b\x1b[2Jc",))
    async with terminal("chat", "-q", "--address", address, "hi") as screen:
        await screen.shows("a]0;titleb[2Jc")

        assert await screen.code() == 0
