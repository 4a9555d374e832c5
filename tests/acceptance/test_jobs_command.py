"""`edgeclient jobs` against a running node, and beside one."""

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from fakes.command_line import Finished, command
from proof.campaign import cloud
from proof.node import Node

from edgeclient.client import EdgeClient


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    async with cloud(seed=1) as sim, Node.prepared(tmp_path, sim, {}) as node:
        await node.start()
        yield node


async def jobs(node: Node, *arguments: str) -> Finished:
    return await command("jobs", *arguments, "--address", node.listen)


async def test_a_caller_sees_and_erases_its_own_jobs_through_the_node(node: Node) -> None:
    async with EdgeClient(node.listen) as device:
        ids = [(await device.submit(f"question {number}")).id for number in range(3)]
        for job_id in ids:
            await device.wait_job(job_id, timeout_s=20)

    listed = json.loads((await jobs(node, "ls", "--json")).out)
    assert [(job_id, "succeeded") for job_id in reversed(ids)] == [(job["id"], job["state"]) for job in listed]
    assert ids[2:] == [job["id"] for job in json.loads((await jobs(node, "ls", "-n", "1", "--json")).out)]
    assert [] == json.loads((await jobs(node, "ls", "--state", "failed", "--json")).out)

    bare, full = await jobs(node, "show", ids[0]), await jobs(node, "show", ids[0], "--content", "--json")
    assert "question 0" not in bare.out
    assert "question 0" == json.loads(full.out)["response"]["message"]["content"]

    exported = [json.loads(line) for line in (await jobs(node, "export")).out.splitlines()]
    assert {"question 0", "question 1", "question 2"} == {job["response"]["message"]["content"] for job in exported}

    cancelled = json.loads((await jobs(node, "cancel", ids[0], "--json")).out)
    assert ["succeeded"] == [job["state"] for job in cancelled]

    assert 0 == (await jobs(node, "erase", ids[0], "--yes")).code
    gone = await jobs(node, "show", ids[0])
    assert (65, f"Error: there is no job {ids[0]!r}\n") == (gone.code, gone.err)
    assert 0 == json.loads((await jobs(node, "stats", "--json")).out)["pending_jobs"]


async def test_operator_mends_the_queue_of_a_running_node(node: Node) -> None:
    async with EdgeClient(node.listen) as device:
        for number in range(3):
            await device.wait_job((await device.submit(f"question {number}")).id, timeout_s=20)

    verified = await command("jobs", "verify", "--config", node.config)
    assert (0, "sound") == (verified.code, verified.out.splitlines()[-1])
    listed = json.loads((await command("jobs", "ls", "--config", node.config, "--json")).out)
    assert [("anonymous", "succeeded")] * 3 == [(job["caller"], job["state"]) for job in listed]
    refused = await command("jobs", "retry", listed[0]["id"], "--yes", "--config", node.config)
    assert (65, f"Error: job {listed[0]['id']} is SUCCEEDED, not UNCERTAIN, FAILED, DEAD or EXPIRED\n") == (
        refused.code,
        refused.err,
    )
    erased = await command("jobs", "erase", "--caller", "anonymous", "--yes", "--config", node.config)
    assert (0, "erased 3\n") == (erased.code, erased.out)
    exported = await command("jobs", "export", "--config", node.config)
    assert "question" not in exported.out


async def test_another_node_key_wants_the_daemon_stopped(node: Node, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_bytes(base64.b64encode(bytes(range(32))))
    key.chmod(0o400)
    refused = await command("jobs", "rekey", "--new-key-file", key, "--config", node.config)
    assert 75 == refused.code
    assert "is in use by a daemon" in refused.err
    assert "Stop the daemon first" in refused.err
