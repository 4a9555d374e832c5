"""`edgeclient batch` as a process, against a real grpc.aio server."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from fakes.chat_service import Fails, FakeNode, Hangs, served
from fakes.command_line import Finished, command, is_locked, started, terminal


@pytest.fixture
def fake() -> FakeNode:
    return FakeNode()


@pytest.fixture
async def address(fake: FakeNode) -> AsyncIterator[str]:
    async with served(fake) as where:
        yield where


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out.jsonl"


def results(out: Path) -> dict[int, dict[str, Any]]:
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(lines) == len({line["index"] for line in lines})
    return {line["index"]: line for line in lines}


async def has_a_line(out: Path) -> None:
    """Wait for the other process to write; between looks the event loop, which serves it, goes on."""
    while not await asyncio.to_thread(lambda: out.exists() and out.read_text().endswith("\n")):
        pass


def counts(done: Finished) -> dict[str, int]:
    return {name: count for name, count in json.loads(done.out).items() if count}


async def test_every_prompt_is_answered_once(address: str, fake: FakeNode, tmp_path: Path, out: Path) -> None:
    source = tmp_path / "in.txt"
    source.write_text("一\n\ntwo\nthree\nfour\nfive\n")
    done = await command("batch", source, "-o", out, "--json", "-s", "Short.", "--address", address)

    texts = {index: line["response"]["message"]["content"] for index, line in results(out).items()}
    assert [texts[index] for index in range(5)] == ["echo: 一", "echo: two", "echo: three", "echo: four", "echo: five"]
    assert len(texts) == 5
    assert [results(out)[index]["line"] for index in range(5)] == [1, 3, 4, 5, 6]
    assert counts(done) == {"total": 5, "ok": 5}
    assert done.err == "5 lines: 5 ok\n"
    assert done.code == 0
    assert max(len(batch.requests) for batch in fake.batches) == 3
    assert {request.system for request in fake.requests} == {"Short."}
    assert len({request.idempotency_key for request in fake.requests}) == 5


async def test_stdin_to_stdout(address: str) -> None:
    done = await command("batch", "-", "--address", address, stdin=b'{"id":"a","prompt":"x"}\n{"id":7,"prompt":"y"}')

    lines = {line["id"]: line["response"]["message"]["content"] for line in map(json.loads, done.out.splitlines())}
    assert lines == {"a": "echo: x", "7": "echo: y"}


async def test_wrong_lines_fail_alone(address: str, fake: FakeNode, tmp_path: Path, out: Path) -> None:
    source = tmp_path / "in.jsonl"
    wrong = [b'{"prompt": ', b"[1]", b'{"promt": "x"}', b'{"prompt": "\xff"}', b'{"prompt": "hot", "temperature": "x"}']
    right = b'{"messages": [{"role": "user", "content": "ok"}]}'
    source.write_bytes(b"\n".join([*wrong, right]))
    done = await command("batch", source, "-o", out, "--json", "--address", address)

    found = results(out)
    assert done.code == 65
    assert counts(done) == {"total": 6, "ok": 1, "failed": 5}
    assert found[5]["response"]["message"]["content"] == "echo: ok"
    assert [found[index]["error"]["reason"] for index in range(5)] == ["INVALID_REQUEST"] * 5
    assert found[0]["error"]["message"].startswith("line 1: not JSON")
    assert 'no field named "promt"' in found[2]["error"]["message"]
    assert "line 1: not JSON" in done.err
    assert len(fake.requests) == 1


async def test_second_run_does_only_what_is_left(address: str, fake: FakeNode, tmp_path: Path, out: Path) -> None:
    source = tmp_path / "in.txt"
    source.write_text("one\ntwo\n")
    await command("batch", source, "-o", out, "--address", address)
    with out.open("a") as stream:
        stream.write('{"index": 2, "ha')  # power was lost here
    source.write_text("one\nchanged\nthree\n")
    fake.requests.clear()
    done = await command("batch", source, "-o", out, "--json", "--address", address)

    assert counts(done) == {"total": 3, "ok": 2, "skipped": 1}
    assert sorted(request.prompt for request in fake.requests) == ["changed", "three"]
    assert results(out)[1]["response"]["message"]["content"] == "echo: changed"
    assert len(results(out)) == 3


async def test_other_options_are_another_question(address: str, fake: FakeNode, tmp_path: Path, out: Path) -> None:
    source = tmp_path / "in.txt"
    source.write_text("one\n")
    await command("batch", source, "-o", out, "--address", address)
    await command("batch", source, "-o", out, "--address", address, "-m", "qwen-max")

    assert [request.model for request in fake.requests] == ["", "qwen-max"]
    assert results(out)[0]["response"]["model"] == "qwen-max"


async def test_failed_lines_are_tried_again_when_told(address: str, fake: FakeNode, tmp_path: Path, out: Path) -> None:
    source = tmp_path / "in.txt"
    source.write_text("one\nbad\n")
    fake.script["bad"] = Fails(code=grpc.StatusCode.INTERNAL, reason="INTERNAL", times=1)
    first = await command("batch", source, "-o", out, "--json", "--address", address)
    second = await command("batch", source, "-o", out, "--json", "--address", address)
    third = await command("batch", source, "-o", out, "--json", "--retry-failed", "--address", address)

    assert [first.code, second.code, third.code] == [70, 65, 0]
    assert counts(second) == {"total": 2, "skipped": 1, "skipped_failed": 1}
    assert "--retry-failed" in second.err
    assert counts(third) == {"total": 2, "skipped": 1, "ok": 1}
    assert "response" in results(out)[1]


async def test_passing_failure_is_repeated_with_the_same_key(
    address: str, fake: FakeNode, tmp_path: Path, out: Path
) -> None:
    source = tmp_path / "in.txt"
    source.write_text("one\nbusy\n")
    fake.script["busy"] = Fails(
        code=grpc.StatusCode.RESOURCE_EXHAUSTED, reason="UPSTREAM_RATE_LIMITED", retry_after_s=0.01, times=2
    )
    done = await command("batch", source, "-o", out, "--address", address)

    keys = [request.idempotency_key for request in fake.requests if request.prompt == "busy"]
    assert done.code == 0
    assert len(keys) == 3
    assert len(set(keys)) == 1


async def test_failure_that_does_not_pass_is_temporary(address: str, fake: FakeNode, tmp_path: Path, out: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text('{"prompt": "busy"}\nnonsense\n')
    fake.script["busy"] = Fails(code=grpc.StatusCode.UNAVAILABLE, reason="OVERLOADED", retry_after_s=3600)
    done = await command("batch", source, "-o", out, "--address", address)

    assert done.code == 75
    assert len(fake.requests) == 1
    assert results(out)[0]["error"]["retry_after_s"] == 3600


async def test_failed_call_stops_the_run_and_the_next_goes_on(
    address: str, fake: FakeNode, tmp_path: Path, out: Path
) -> None:
    source = tmp_path / "in.txt"
    source.write_text("one\ntwo\nthree\nfour\n")
    fake.batch_error = Fails(code=grpc.StatusCode.PERMISSION_DENIED, reason="CALLER_NOT_ALLOWED")
    stopped = await command("batch", source, "-o", out, "--json", "--parallel", "1", "--address", address)
    fake.batch_error = None
    done = await command("batch", source, "-o", out, "--json", "--address", address)

    assert stopped.code == 77
    assert counts(stopped) == {"total": 4, "ok": 1, "not_done": 3}
    assert "CALLER_NOT_ALLOWED" in stopped.err
    assert "again to go on" in stopped.err
    assert counts(done) == {"total": 4, "ok": 3, "skipped": 1}


async def test_absent_node_leaves_everything_to_do(tmp_path: Path, out: Path) -> None:
    source = tmp_path / "in.txt"
    source.write_text("one\ntwo\n")
    done = await command("batch", source, "-o", out, "--json", "--address", "127.0.0.1:1")

    assert done.code == 69
    assert counts(done) == {"total": 2, "not_done": 2}
    assert results(out) == {}


async def test_interrupted_run_keeps_what_it_has(address: str, fake: FakeNode, tmp_path: Path, out: Path) -> None:
    source = tmp_path / "in.txt"
    source.write_text("one\ntwo\nhang\nfour\n")
    fake.script["one"] = Hangs()  # the fake answers a batch from its end
    process = await started(
        "batch", source, "-o", out, "--json", "--chunk", "2", "--parallel", "1", "--address", address
    )
    assert process.stdin
    process.stdin.close()
    async with asyncio.timeout(20):
        await fake.hanging.wait()
        await has_a_line(out)
        in_use = is_locked(out)
        refused = await command("batch", source, "-o", out, "--address", address)
        process.send_signal(signal.SIGINT)
        printed, told = [await stream.read() for stream in (process.stdout, process.stderr) if stream]
        await process.wait()

    assert in_use
    assert refused.code == 75
    assert "in use" in refused.err
    assert process.returncode == 130
    assert json.loads(printed)["ok"] == 1
    assert json.loads(printed)["not_done"] == 3
    assert b"Traceback" not in told
    assert list(results(out)) == [1]


async def test_key_survives_a_kill_so_the_repeat_is_free(
    address: str, fake: FakeNode, tmp_path: Path, out: Path
) -> None:
    source = tmp_path / "in.txt"
    source.write_text("lost\nkept\n")
    fake.script["lost"] = Hangs()
    process = await started("batch", source, "-o", out, "--address", address)
    assert process.stdin
    process.stdin.close()
    async with asyncio.timeout(20):
        await fake.hanging.wait()
        await has_a_line(out)
        process.kill()
        await process.communicate()
    del fake.script["lost"]
    await command("batch", source, "-o", out, "--address", address)

    keys = [request.idempotency_key for request in fake.requests if request.prompt == "lost"]
    assert len(keys) == 2
    assert keys[0] == keys[1]


async def test_file_of_somebody_else_is_not_touched(address: str, tmp_path: Path) -> None:
    source = tmp_path / "in.txt"
    source.write_text("one\n")
    other = tmp_path / "notes.txt"
    other.write_text("my notes\n")
    wrong = await command("batch", source, "-o", other, "--address", address)
    same = await command("batch", source, "-o", source, "--address", address)

    assert wrong.code == 65
    assert "no result of a batch" in wrong.err
    assert other.read_text() == "my notes\n"
    assert same.code == 2
    assert source.read_text() == "one\n"


async def test_device_is_refused_as_output(address: str) -> None:
    done = await command("batch", "-", "-o", "/dev/full", "--address", address, stdin=b"one\n")

    assert (done.code, done.err) == (78, "Error: /dev/full is not a regular file\n")


async def test_closed_pipe_ends_quietly(address: str) -> None:
    process = await started("batch", "-", "--address", address)
    assert process.stdout
    assert process.stdin
    assert process.stderr
    process.stdin.write(b"x\n" * 300)
    process.stdin.close()
    async with asyncio.timeout(20):
        await process.stdout.readline()
        process.stdout._transport.close()  # type: ignore[attr-defined]  # what `head` does
        err = await process.stderr.read()
        await process.wait()

    assert (process.returncode, err) == (141, b"")


async def test_line_above_the_limit_fails_alone(address: str, fake: FakeNode, tmp_path: Path, out: Path) -> None:
    source = tmp_path / "in.txt"
    source.write_text(f"{'x' * 5000}\nshort\n")
    fake.limits.max_request_bytes = 4096
    done = await command("batch", source, "-o", out, "--address", address)

    assert done.code == 65
    assert results(out)[0]["error"]["reason"] == "REQUEST_TOO_LARGE"
    assert "response" in results(out)[1]


async def test_progress_is_shown_at_a_terminal(address: str, tmp_path: Path, out: Path) -> None:
    source = tmp_path / "in.txt"
    source.write_text("一\n二\n")
    async with terminal("batch", source, "-o", out, "--address", address) as screen:
        await screen.shows("2/2")
        await screen.shows("2 lines: 2 ok")

        assert await screen.code() == 0


async def test_node_without_memory_gets_no_keys_and_no_repeat_of_what_may_be_billed(
    address: str, fake: FakeNode, tmp_path: Path, out: Path
) -> None:
    fake.limits.ClearField("idempotency_window")
    source = tmp_path / "in.txt"
    source.write_text("one\nlost\n")
    fake.script["lost"] = Fails(
        code=grpc.StatusCode.UNAVAILABLE, reason="UPSTREAM_INTERRUPTED", possibly_billed=True, times=1
    )
    done = await command("batch", source, "-o", out, "--json", "--address", address)

    assert ["", ""] == [request.idempotency_key for request in fake.requests]
    assert done.code == 69
    assert results(out)[1]["error"]["possibly_billed"] is True
