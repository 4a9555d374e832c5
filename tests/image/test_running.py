"""The image as it runs in a pod: no rights, nothing to write on but its volume, process 1, and as its own user."""

import asyncio
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.certificates import Authority
from image.container import GUARD_S, Container
from image.engine import Engine

from edgeclient.client import EdgeClient
from edgeclient.simulator import Simulator
from edgeclient.v1 import job_pb2

USER = 65532
CODE_OF_CONFIG = 78
CODE_OF_KILL = 137


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The certificate, the key and the volume of a pod, as a kubelet lays them down."""
    Authority().issue().write(tmp_path / "tls.crt", tmp_path / "tls.key")
    (tmp_path / "api-key").write_text("sk-of-nobody\n", encoding="utf-8")
    (tmp_path / "state").mkdir()
    for path in (tmp_path, *tmp_path.iterdir()):
        os.chown(path, 0, USER)
        path.chmod(0o750 if path.is_dir() else 0o440)
    os.chown(tmp_path / "state", USER, USER)
    return tmp_path


def options(folder: Path, **more: str) -> list[str]:
    """Its volumes and settings; `more` by name of the setting, with a double underscore after the section."""
    settings = {
        "ingress__listen": f"127.0.0.1:{free_port()}",
        "ingress__health_listen": f"127.0.0.1:{free_port()}",
        "ingress__tls_certificate_file": "/pod/tls.crt",
        "ingress__tls_key_file": "/pod/tls.key",
        "admin__listen": "",
        "upstream__base_url": "https://127.0.0.1:9/v1",
        "upstream__api_key_file": "/pod/api-key",
        "upstream__proxy": "none",
        "spool__directory": "/pod/state/spool",
        "cache__directory": "/pod/state/cache",
        "log__format": "json",
    } | more
    variables = [f"--env=EDGECLIENT_{name.replace('__', '_').upper()}={value}" for name, value in settings.items()]
    return [f"--volume={folder}:/pod", *variables]


@pytest.fixture
def running(engine: Engine, image: str, folder: Path) -> Iterator[Container]:
    with Container(engine, image, *options(folder)) as container:
        container.says("node_started")
        yield container


def test_it_runs_as_its_user_without_rights_and_writes_only_to_its_volume(running: Container, folder: Path) -> None:
    assert [USER] == [(folder / "state" / "spool").stat().st_uid]
    assert ["0000000000000000"] * 5 == running.status("Cap")
    assert ["1"] == running.status("NoNewPrivs")
    assert [str(USER)] * 4 == running.status("Uid")[0].split()


def test_the_health_check_of_the_image_finds_it_behind_its_certificate(running: Container) -> None:
    assert (0, "SERVING") == tuple(part if isinstance(part, int) else part.strip() for part in running.health())


def test_the_health_check_says_why_it_fails(engine: Engine, image: str, folder: Path) -> None:
    with Container(engine, image, *options(folder, ingress__health_listen="")) as container:
        container.says("node_started")
        assert 0 == container.health()[0]
        (folder / "tls.crt").write_text("no certificate", encoding="utf-8")
        code, said = container.health()

    assert code != 0
    assert "tls_certificate_file" in said


def test_process_1_drains_on_sigterm_ends_with_0_and_leaves_no_zombie(running: Container) -> None:
    for _ in range(3):
        running.health()
    processes = running.processes()

    assert 1 == len(processes), processes
    assert "edgeclient serve" in processes[0][1]
    running.signal("TERM")
    assert 0 == running.code(), running.lines


def test_a_second_signal_ends_it_at_once(running: Container) -> None:
    running.signal("TERM")
    running.signal("TERM")
    assert running.code() in (0, 130), running.lines


async def test_a_job_outlives_a_kill_with_its_volume_and_calls_go_through(
    engine: Engine, image: str, folder: Path
) -> None:
    plain = {"ingress__tls_certificate_file": "", "ingress__tls_key_file": "", "upstream__ca_file": "/pod/ca.pem"}
    device = f"127.0.0.1:{free_port()}"
    async with asyncio.timeout(GUARD_S), Simulator() as cloud:
        shutil.copyfile(str(cloud.ca_file), folder / "ca.pem")
        with Container(engine, image, *options(folder, ingress__listen=device, **plain)) as offline:
            await asyncio.to_thread(offline.says, "node_started")
            async with EdgeClient(device, retries=False) as node:
                accepted = await node.submit("while the uplink is gone")
            offline.signal("KILL")
            assert CODE_OF_KILL == offline.code()

        reachable = options(folder, ingress__listen=device, upstream__base_url=cloud.base_url, **plain)
        with Container(engine, image, *reachable) as online:
            await asyncio.to_thread(online.says, "node_started")
            async with EdgeClient(device) as node:
                ended = await node.wait_job(accepted.id, timeout_s=GUARD_S)
                pieces = [piece.content async for piece in node.stream("Explain heat pumps")]

    assert job_pb2.JOB_STATE_SUCCEEDED == ended.state
    assert ended.response.message.content
    assert len(pieces) > 1
    assert 2 == cloud.ledger.totals.calls_billed


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"upstream__api_key_file": "/pod/absent"}, "upstream.api_key_file"),
        ({"ingress__tls_certificate_file": "/pod/absent"}, "ingress.tls_certificate_file"),
        ({"ingress__listenn": "0.0.0.0:1"}, "did you mean EDGECLIENT_INGRESS_LISTEN"),
        ({"spool__max_bytes": "much"}, "spool.max_bytes"),
    ],
    ids=["missing secret", "missing certificate", "a key that does not exist", "a value of the wrong kind"],
)
def test_what_is_wrong_in_the_settings_is_told_with_its_name(
    engine: Engine, image: str, folder: Path, wrong: dict[str, str], said: str
) -> None:
    with Container(engine, image, *options(folder, **wrong)) as container:
        code = container.code()

    assert CODE_OF_CONFIG == code
    assert said in "".join(container.lines)


def test_a_volume_of_root_is_told_with_what_to_do(engine: Engine, image: str, folder: Path) -> None:
    os.chown(folder / "state", 0, 0)
    with Container(engine, image, *options(folder)) as container:
        code = container.code()

    told = "".join(container.lines)
    assert CODE_OF_CONFIG == code
    assert "spool.directory" in told
    assert str(USER) in told, told
