"""On demand, `EDGECLIENT_ARM64=1 pytest tests/image/test_arm64.py`: the daemon starts and answers on arm64."""

import json
import os
from pathlib import Path

import pytest
from fakes.command_line import command
from image.conftest import need_network
from image.emulated import arm64_tree, edgeclient, missing
from image.test_running import free_port

pytestmark = pytest.mark.skipif(
    "EDGECLIENT_ARM64" not in os.environ, reason="takes minutes: EDGECLIENT_ARM64=1 runs it"
)


@pytest.fixture(scope="module")
def root() -> Path:
    if os.geteuid() != 0 or missing():
        pytest.skip(missing() or "only root may enter another root")
    need_network()
    return arm64_tree()


def test_its_compiled_parts_are_for_arm64(root: Path) -> None:
    with edgeclient(root, "version", "--json", environ={}) as process:
        said = json.loads(process.communicate()[0])

    assert said["platform"].endswith(" aarch64")
    assert "upb" == said["protobuf_implementation"]


async def test_it_starts_answers_and_ends(root: Path) -> None:
    settings = {
        "DASHSCOPE_API_KEY": "sk-of-nobody",
        "EDGECLIENT_INGRESS_LISTEN": f"127.0.0.1:{free_port()}",
        "EDGECLIENT_ADMIN_LISTEN": "",
        "EDGECLIENT_LOG_FORMAT": "json",
        "EDGECLIENT_UPSTREAM_BASE_URL": "https://127.0.0.1:9/v1",
        "EDGECLIENT_UPSTREAM_PROXY": "none",
    }
    with edgeclient(root, "serve", environ=settings) as process:
        assert process.stdout is not None
        started = next((line for line in process.stdout if '"node_started"' in line), "")
        health = await command("health", "--timeout", "20", stdin=b"", **settings)
        models = await command("models", "--address", settings["EDGECLIENT_INGRESS_LISTEN"], "--timeout", "20")
        process.terminate()
        rest = process.communicate()[0]

    assert started
    assert (0, "SERVING\n") == (health.code, health.out)
    assert "qwen" in models.out
    assert 0 == process.returncode, rest
