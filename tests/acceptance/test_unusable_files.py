"""A missing Secret, a volume of somebody else: the daemon ends with 78 and one sentence that names the setting, the
place and what would be right. An orchestrator that starts it again and again shows that sentence, and nothing else.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from acceptance.daemon import Daemon, for_cloud
from harness.rights import mere_user, need_modes_that_count

from edgeclient.cli.exit_codes import ExitCode
from edgeclient.simulator import Simulator

FILES = (
    "upstream.api_key_file",
    "upstream.ca_file",
    "spool.encryption_key_file",
    "prepare.file",
    "cache.redis_password_file",
    "cache.redis_key_file",
    "cache.redis_ca_file",
    "ingress.tls_certificate_file",
)
MORE = {"cache": {"cache.redis_url": "rediss://127.0.0.1:9"}, "ingress": {"ingress.tls_key_file": "key.pem"}}


async def sentence(sim: Simulator, settings: Mapping[str, str], *, file: Path | None = None) -> str:
    """The one line in which a daemon that does not start says why."""
    finished = await Daemon({**for_cloud(sim), **settings}, under=mere_user(), file=file).fails()

    assert ExitCode.CONFIG == finished.code, finished.err
    start, told, *rest = finished.err.splitlines()
    assert (True, []) == (start.startswith("Error: "), rest), finished.err
    return told.removeprefix("  1. ")


@pytest.mark.parametrize("setting", FILES)
async def test_missing_file_is_told_by_its_setting(sim: Simulator, tmp_path: Path, setting: str) -> None:
    section = setting.partition(".")[0]
    more = MORE.get(section, {})
    if section == "spool":
        more = {"spool.directory": str(tmp_path / "spool")}

    told = await sentence(sim, {setting: str(tmp_path / "gone"), **more})

    assert told.startswith(f"{setting}: {tmp_path}/gone")
    assert "cannot be read: " in told
    assert "o such file" in told


async def test_configuration_that_may_not_be_read_is_told_with_its_owner(sim: Simulator, tmp_path: Path) -> None:
    need_modes_that_count(tmp_path)
    path = tmp_path / "edgeclient.toml"
    path.touch(mode=0o000)

    told = await sentence(sim, {}, file=path)

    assert told.startswith(f"{path}: cannot be read: Permission denied; edgeclient runs as uid {os.geteuid()}, and it")


async def test_volume_that_may_not_be_entered_is_told_with_its_owner(sim: Simulator, tmp_path: Path) -> None:
    need_modes_that_count(tmp_path)
    volume = tmp_path / "volume"
    (volume / "spool").mkdir(parents=True)
    volume.chmod(0o600)
    try:
        told = await sentence(sim, {"spool.directory": str(volume / "spool")})
    finally:
        volume.chmod(0o700)

    whose = f"which belongs to uid {os.geteuid()} and has mode 0600; chmod it to 0700"
    assert f"spool.directory: {volume}/spool cannot be used: edgeclient may not use {volume}, {whose}" == told


async def test_file_in_place_of_the_folder_of_the_cache_is_told(sim: Simulator, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    told = await sentence(sim, {"cache.directory": str(tmp_path / "file")})

    assert f"cache.directory: {tmp_path}/file is not a folder" == told


async def test_folder_in_which_no_socket_can_be_made_is_told(sim: Simulator, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    told = await sentence(sim, {"ingress.listen": f"unix:{tmp_path}/file/node.sock"})

    assert told.endswith(f"cannot be bound; {tmp_path}/file has to be a folder in which this user may make a socket")
