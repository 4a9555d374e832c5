"""Why a file cannot be read, with what would be right where it is there and forbidden."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from harness.rights import mere_user, need_modes_that_count

from edgeclient.config.setting import SettingError
from edgeclient.config.unreadable import check_readable

_SAY = """
import sys
from edgeclient.config.setting import SettingError
from edgeclient.config.unreadable import check_readable
try:
    check_readable("upstream.api_key_file", sys.argv[1])
except SettingError as error:
    print(*error.problems)
"""


def said(path: Path) -> str:
    """By a process for which the modes of files count."""
    command = [*mere_user(), sys.executable, "-c", _SAY, str(path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_forbidden_file_is_told_with_its_owner_its_mode_and_who_asks(tmp_path: Path) -> None:
    need_modes_that_count(tmp_path)
    path = tmp_path / "key"
    path.touch(mode=0o000)
    uid = os.geteuid()

    expected = (
        f"upstream.api_key_file: {path} cannot be read: Permission denied; edgeclient runs as uid {uid}, and it belongs"
        f" to uid {uid} and has mode 0000; chown it or widen its mode (in Kubernetes fsGroup and defaultMode: 0440)"
    )
    assert expected == said(path)


def test_forbidden_folder_above_is_told(tmp_path: Path) -> None:
    need_modes_that_count(tmp_path)
    folder = tmp_path / "secret"
    folder.mkdir()
    (folder / "key").touch()
    folder.chmod(0o600)
    try:
        told = said(folder / "key")
    finally:
        folder.chmod(0o700)

    assert told.endswith(f"edgeclient runs as uid {os.geteuid()} and may not enter its folder; chown or chmod that")


def test_what_is_not_there_is_told_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(SettingError) as refused:
        check_readable("a.b_file", str(tmp_path / "key"))

    assert [f"a.b_file: {tmp_path}/key cannot be read: No such file or directory"] == refused.value.problems


def test_what_can_be_read_is_let_be(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.touch()

    check_readable("a.b_file", str(path))
