"""Callers on a whole node: who they are is proved, and what is theirs is nobody else's."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import builders
import grpc
import grpc.aio
import pytest
from harness.certificates import Authority
from harness.node import Node
from harness.rpc_failure import failure_of

from edgeclient.config.row_schema import CallerConfig
from edgeclient.core.events import CallFinished
from edgeclient.simulator import Simulator, SimulatorConfig
from edgeclient.v1 import chat_pb2_grpc, job_pb2, job_pb2_grpc, node_pb2

CAMERA, BOILER = "token-of-the-camera", "token-of-the-boiler"


def row(name: str, token: str, **over: object) -> CallerConfig:
    return CallerConfig(name=name, token_sha256=[hashlib.sha256(token.encode()).hexdigest()], **over)  # type: ignore[arg-type]


def bearing(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator(SimulatorConfig()) as sim:
        yield sim


@pytest.fixture
async def node(sim: Simulator, tmp_path: Path) -> AsyncIterator[Node]:
    rows = [row("camera", CAMERA, models=["qwen-plus"], max_priority="normal"), row("boiler", BOILER)]
    async with Node(sim, auth={"required": True}, callers=rows, spool={"directory": str(tmp_path)}) as node:
        yield node


async def test_caller_is_named_by_its_token(node: Node) -> None:
    await node.chat.Chat(builders.chat_request(), metadata=bearing(CAMERA), timeout=10)
    assert (await node.seen(CallFinished)).caller == "camera"


@pytest.mark.parametrize("metadata", [(), bearing("token-of-nobody")])
async def test_nobody_is_served_where_callers_are_required(node: Node, metadata: tuple[tuple[str, str], ...]) -> None:
    failure = await failure_of(node.chat.Chat(builders.chat_request(), metadata=metadata, timeout=10))
    assert failure.code == "UNAUTHENTICATED"
    assert failure.reason == "CALLER_UNAUTHENTICATED"
    assert b"token-of-nobody" not in node.stderr.getvalue()


async def test_job_of_another_caller_is_not_found(node: Node) -> None:
    jobs = job_pb2_grpc.JobServiceStub(node.channel)
    request = job_pb2.SubmitJobRequest(request=builders.chat_request())
    job_id = (await jobs.SubmitJob(request, metadata=bearing(CAMERA), timeout=10)).job.id
    wanted = job_pb2.GetJobRequest(job_id=job_id)

    theirs = await failure_of(jobs.GetJob(wanted, metadata=bearing(BOILER), timeout=10))
    unknown = await failure_of(
        jobs.GetJob(job_pb2.GetJobRequest(job_id="nothing"), metadata=bearing(BOILER), timeout=10)
    )

    assert (await jobs.GetJob(wanted, metadata=bearing(CAMERA), timeout=10)).job.id == job_id
    assert theirs.reason == unknown.reason == "JOB_NOT_FOUND"


async def test_models_of_a_caller_are_those_that_are_open_to_it(node: Node) -> None:
    request = node_pb2.ListModelsRequest()
    listed = await node.node.ListModels(request, metadata=bearing(CAMERA), timeout=10)
    failure = await failure_of(
        node.chat.Chat(builders.chat_request(model="qwen-flash"), metadata=bearing(CAMERA), timeout=10)
    )

    assert [model.id for model in listed.models] == ["qwen-plus"]
    assert failure.reason == "MODEL_NOT_FOUND"
    assert len((await node.node.ListModels(request, metadata=bearing(BOILER), timeout=10)).models) > 1


async def test_caller_is_named_by_its_certificate(sim: Simulator, tmp_path: Path) -> None:
    site = Authority()
    site.issue().write(tmp_path / "port.pem", tmp_path / "port.key")
    (tmp_path / "ca.pem").write_bytes(site.pem)
    device = site.issue("device-9")
    ingress = {
        "tls_certificate_file": str(tmp_path / "port.pem"),
        "tls_key_file": str(tmp_path / "port.key"),
        "tls_client_ca_file": str(tmp_path / "ca.pem"),
    }
    async with Node(sim, auth={"required": True}, ingress=ingress) as node:
        credentials = grpc.ssl_channel_credentials(site.pem, device.key, device.certificate)
        async with grpc.aio.secure_channel(node.address, credentials) as channel:
            await chat_pb2_grpc.ChatServiceStub(channel).Chat(builders.chat_request(), timeout=10)
        assert (await node.seen(CallFinished)).caller == "device-9"
