"""The daemon of each overlay starts with what its pod gives it, answers its probes and a device; and what is wrong with
a pod is said in one sentence, which the cluster shows as the last message of the container.
"""

import asyncio
import os
import re
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import builders
import grpc.aio
import pytest
from deploy.manifests import DEFAULT, Manifest, daemon_of, daemons, overlay, pod_of, queries, workloads
from deploy.started import Pod
from grpc_health.v1 import health_pb2, health_pb2_grpc

from edgeclient.cli.exit_codes import ExitCode
from edgeclient.simulator import Simulator, SimulatorConfig
from edgeclient.v1 import chat_pb2_grpc

SERVING = health_pb2.HealthCheckResponse.SERVING


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator() as sim:
        yield sim


@pytest.fixture
def root_of_the_pod() -> Iterator[Path]:
    """As `tmp_path`, but other users may enter."""
    with tempfile.TemporaryDirectory(prefix="edgeclient-pod-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def default_pod(tmp_path: Path, sim: Simulator) -> Pod:
    (workload,) = workloads(overlay(DEFAULT))
    return Pod(overlay(DEFAULT), workload, root=tmp_path, sim=sim)


@pytest.mark.parametrize(("manifests", "workload"), daemons())
async def test_the_daemon_answers_its_probes_and_a_device(
    manifests: list[Manifest], workload: Manifest, tmp_path: Path, sim: Simulator
) -> None:
    pod = Pod(manifests, workload, root=tmp_path, sim=sim)
    container = daemon_of(pod_of(workload))
    async with pod.daemon() as daemon, grpc.aio.insecure_channel(pod.health) as probes:
        health: Any = health_pb2_grpc.HealthStub(probes)
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            service = container[probe]["grpc"].get("service", "")
            assert SERVING == (await health.Check(health_pb2.HealthCheckRequest(service=service))).status

        async with pod.channel(daemon.address) as channel:
            chats: chat_pb2_grpc.ChatServiceAsyncStub = chat_pb2_grpc.ChatServiceStub(channel)
            assert (await chats.Chat(builders.chat_request())).message.content

        assert "filled-in" == (await daemon.says("node_started"))["node_id"]
        status, metrics = await daemon.page("/metrics")
        assert (200, True) == (status, "\nedgeclient_active_calls 0" in metrics)


async def test_a_setting_that_does_not_exist_is_the_last_message(tmp_path: Path, sim: Simulator) -> None:
    pod = default_pod(tmp_path, sim)
    pod.file.write_text(pod.file.read_text().replace("max_bytes = ", "max_byte = "))
    finished = await pod.daemon().fails()

    assert ExitCode.CONFIG == finished.code
    assert "spool.max_byte is not a setting; did you mean spool.max_bytes" in finished.err


async def test_a_secret_without_the_file_is_the_last_message(tmp_path: Path, sim: Simulator) -> None:
    pod = default_pod(tmp_path, sim)
    key = tmp_path / "run/secrets/edgeclient/api-key/api-key"
    key.rename(key.with_name("another-name"))
    finished = await pod.daemon().fails()

    assert ExitCode.CONFIG == finished.code
    assert f"upstream.api_key_file: {key} cannot be read: No such file or directory" in finished.err


async def test_a_volume_of_root_is_the_last_message_and_the_init_container_cures_it(
    root_of_the_pod: Path, sim: Simulator
) -> None:
    (workload,) = workloads(overlay(DEFAULT))
    user = pod_of(workload)["securityContext"]["runAsUser"]
    as_the_pod = ("setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--bounding-set=-all", "--")
    if os.geteuid() != 0 or not await succeeds(*as_the_pod, sys.executable, "-c", "import edgeclient"):
        pytest.skip("a process of another user cannot be started here")
    os.chown(root_of_the_pod, user, user)
    pod = Pod(overlay(DEFAULT), workload, root=root_of_the_pod, sim=sim)

    finished = await pod.daemon(*as_the_pod).fails()
    assert ExitCode.CONFIG == finished.code
    what = f"it cannot be made in {pod.state}, which belongs to uid 0 and has mode 0755"
    assert f"{what}; make it and chown it to uid {user}" in finished.err

    (first,) = pod_of(workload)["initContainers"]
    rights = ",".join(f"+{each.lower()}" for each in first["securityContext"]["capabilities"]["add"])
    *program, _ = first["command"]
    assert await succeeds("setpriv", f"--bounding-set=-all,{rights}", "--inh-caps=-all", "--", *program, str(pod.state))
    async with pod.daemon(*as_the_pod):
        assert user == (pod.state / "spool").stat().st_uid


async def succeeds(program: str, *arguments: str) -> bool:
    """Run a program; False if it fails, or is not there."""
    try:
        process = await asyncio.create_subprocess_exec(program, *arguments, stderr=asyncio.subprocess.DEVNULL)
    except FileNotFoundError:
        return False
    return await process.wait() == 0


async def test_the_model_on_the_node_answers_while_there_is_no_way_to_the_provider(
    tmp_path: Path, sim: Simulator
) -> None:
    manifests = overlay("local-model")
    (workload,) = workloads(manifests)
    pod = Pod(manifests, workload, root=tmp_path, sim=sim)
    async with Simulator(SimulatorConfig(plaintext=True, http1_only=True, api_key="")) as model:
        text = pod.file.read_text().replace("http://127.0.0.1:8080/v1", model.base_url)
        pod.file.write_text(text.replace('"*" = "local"', '"*" = "qwen-flash"'))
        async with pod.daemon() as daemon, pod.channel(daemon.address) as channel:
            chats: chat_pb2_grpc.ChatServiceAsyncStub = chat_pb2_grpc.ChatServiceStub(channel)
            before = await chats.Chat(builders.chat_request())
            await sim.stop()
            after = await chats.Chat(builders.chat_request())

    assert ["dashscope", "local-model"] == [before.target, after.target]


async def test_every_metric_that_is_asked_for_is_shown(tmp_path: Path, sim: Simulator) -> None:
    async with default_pod(tmp_path, sim).daemon() as daemon:
        _, page = await daemon.page("/metrics")
    kinds = re.findall(r"^# TYPE (\S+) (\S+)", page, re.MULTILINE)
    shown = {name + ending for name, kind in kinds for ending in (("_bucket",) if kind == "histogram" else ("",))}
    asked = {metric for query in queries() for metric in re.findall(r"(?:edgeclient|rpc)_\w+", query)}

    assert asked
    assert set() == asked - shown
