"""Clients that are not ours: grpcurl, and JavaScript with nothing but the .proto files.

Each is skipped, with its reason, where the tool is not installed.
"""

import asyncio
import base64
import json
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from acceptance.daemon import Daemon, for_cloud
from fakes.command_line import Finished
from google.rpc import status_pb2

from edgeclient.simulator import Simulator

REPOSITORY = Path(__file__).parents[2]
CLIENT = Path(__file__).parent / "clients" / "node"
CHAT, NODE = "edgeclient.v1.ChatService", "edgeclient.v1.NodeService"
_GO_BIN = Path.home() / "go" / "bin"


@pytest.fixture
async def daemon(sim: Simulator) -> AsyncIterator[Daemon]:
    async with Daemon(for_cloud(sim)) as daemon:
        await daemon.says("uplink_changed", lambda fact: fact["after"] == "online")
        yield daemon


async def run(*command: str | Path, cwd: Path | None = None) -> Finished:
    """A foreign program, to its end."""
    process = await asyncio.create_subprocess_exec(
        *map(str, command), cwd=cwd, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    return Finished(code=process.returncode or 0, out=out.decode(), err=err.decode())


# grpcurl


async def grpcurl(*arguments: str) -> Finished:
    path = shutil.which("grpcurl", path=f"{os.environ['PATH']}{os.pathsep}{_GO_BIN}")
    if path is None:
        pytest.skip("grpcurl is not installed")
    return await run(path, "-plaintext", *arguments)


def documents(text: str) -> list[Any]:
    """The JSON objects that grpcurl prints one after the other."""
    decoder, found, rest = json.JSONDecoder(), [], text.strip()
    while rest:
        document, end = decoder.raw_decode(rest)
        found.append(document)
        rest = rest[end:].strip()
    return found


async def test_grpcurl_asks_the_shortest_question(daemon: Daemon) -> None:
    finished = await grpcurl("-d", '{"prompt":"hi"}', daemon.address, f"{CHAT}/Chat")

    assert (0, "") == (finished.code, finished.err)
    (response,) = documents(finished.out)
    assert response["message"]["content"]
    assert "ROLE_ASSISTANT" == response["message"]["role"]
    assert "FINISH_REASON_STOP" in response.values()  # older versions call the key finishReason


async def test_grpcurl_follows_a_stream(daemon: Daemon) -> None:
    finished = await grpcurl("-d", '{"prompt":"hi","timeout":"30s"}', daemon.address, f"{CHAT}/StreamChat")
    pieces = documents(finished.out)

    assert 0 == finished.code
    assert len(pieces) > 1
    assert pieces[0]["id"]
    assert "FINISH_REASON_STOP" in pieces[-1].values()


async def test_grpcurl_lists_and_describes_without_proto_files(daemon: Daemon) -> None:
    listed = await grpcurl(daemon.address, "list")
    everything = await grpcurl(daemon.address, "describe")
    parts = [
        await grpcurl(daemon.address, "describe", name)
        for name in (f"{CHAT}.StreamChat", "edgeclient.v1.ChatRequest", "edgeclient.v1.ChatRequest.prompt")
    ]

    assert {CHAT, NODE, "grpc.health.v1.Health"} < set(listed.out.split())
    assert [0] * 5 == [finished.code for finished in (listed, everything, *parts)], everything.err
    assert "rpc StreamChat" in parts[0].out
    assert "string prompt = 3" in parts[1].out


async def test_grpcurl_shows_the_details_of_an_error(daemon: Daemon) -> None:
    finished = await grpcurl("-d", '{"prompt":"hi","top_p":9}', daemon.address, f"{CHAT}/Chat")

    assert 64 + 3 == finished.code  # its way to tell INVALID_ARGUMENT
    for expected in ("Code: InvalidArgument", "google.rpc.ErrorInfo", "INVALID_REQUEST", "BadRequest", '"top_p"'):
        assert expected in finished.err


async def test_grpcurl_asks_for_health_and_state(daemon: Daemon) -> None:
    health = await grpcurl("-d", f'{{"service":"{CHAT}"}}', daemon.address, "grpc.health.v1.Health/Check")
    status = await grpcurl(daemon.address, f"{NODE}/GetNodeStatus")

    assert [{"status": "SERVING"}] == documents(health.out)
    assert ["dashscope"] == [target["name"] for target in documents(status.out)[0]["status"]["targets"]]


# JavaScript


async def installed(directory: Path) -> None:
    """The client with its packages, in a directory of its own."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not installed")
    for file in CLIENT.iterdir():
        if file.is_file():
            shutil.copy(file, directory)
    finished = await run(
        "npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--prefer-offline", "--silent", cwd=directory
    )
    if finished.code:
        pytest.skip(f"npm cannot install the packages: {finished.err.strip()[-200:]}")


async def test_a_client_made_from_the_proto_files_alone_understands_everything(daemon: Daemon, tmp_path: Path) -> None:
    await installed(tmp_path)
    finished = await run("node", "client.js", daemon.address, REPOSITORY / "protos", cwd=tmp_path)
    assert (0, "") == (finished.code, finished.err)
    told = json.loads(finished.out)

    assert told["chat"]["message"]["content"]
    assert ("ROLE_ASSISTANT", "FINISH_REASON_STOP") == (told["chat"]["message"]["role"], told["chat"]["finish_reason"])
    assert "FINISH_REASON_STOP" == told["pieces"][-1]["finish_reason"]
    assert "".join(piece.get("content", "") for piece in told["pieces"])
    assert {0: "response", 1: "error"} == {result.get("index", 0): result["result"] for result in told["results"]}

    refused = told["refused"]
    assert (3, "INVALID_REQUEST", "-1") == (refused["code"], refused["reason"], refused["pushback_ms"])
    assert refused["request_id"]
    status = status_pb2.Status.FromString(base64.b64decode(refused["details"]))
    assert (3, refused["sentence"]) == (status.code, status.message)
