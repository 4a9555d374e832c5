"""`edgeclient models` and the way in, as a process."""

import json
from collections.abc import AsyncIterator

import pytest
from fakes.chat_service import FakeNode, served
from fakes.command_line import command

from edgeclient.v1 import node_pb2

MODELS = [
    node_pb2.Model(
        id="qwen-plus",
        aliases=["通义", "default"],
        is_default=True,
        supports_thinking=True,
        supports_tools=True,
        supports_json=True,
        input_modalities=[node_pb2.MODALITY_IMAGE, node_pb2.MODALITY_AUDIO],
        context_window_tokens=131_072,
    ),
    node_pb2.Model(id="qwen-tiny"),
    node_pb2.Model(id="third-page"),
]


@pytest.fixture
async def address() -> AsyncIterator[str]:
    async with served(FakeNode(models=MODELS)) as where:
        yield where


async def test_table_has_a_row_per_model(address: str) -> None:
    done = await command("models", "--address", address)

    assert done.out.splitlines() == [
        "MODEL       DEFAULT  THINKING  TOOLS  JSON  MEDIA        CONTEXT  ALIASES",
        "qwen-plus   yes      yes       yes    yes   image,audio  131,072  通义,default",
        "qwen-tiny   -        -         -      -     -            -        -",
        "third-page  -        -         -      -     -            -        -",
    ]


async def test_json_is_a_list(address: str) -> None:
    done = await command("models", "--json", "--address", address)

    assert [model["id"] for model in json.loads(done.out)] == ["qwen-plus", "qwen-tiny", "third-page"]
    assert json.loads(done.out)[0]["aliases"] == ["通义", "default"]


async def test_version_loads_neither_grpc_nor_the_daemon() -> None:
    done = await command("version", "--json", PYTHONPROFILEIMPORTTIME="1")

    loaded = {line.rpartition("|")[2].strip() for line in done.err.splitlines()}
    assert json.loads(done.out)["protobuf_implementation"] in ("upb", "python", "cpp")
    assert "click" in loaded
    assert not loaded & {"grpc", "asyncio", "httpx", "uvloop", "edgeclient.client", "edgeclient.config"}
