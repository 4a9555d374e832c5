"""A process with the rights of a mere user, also where the tests run as root, for whom no mode of a file counts."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

# Without capabilities root is a user like any other, who owns what root owns; and it reads the same Python as the test.
_DROP = """
import ctypes, os, sys
for capability in range(64):
    ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP: what comes after exec has it no more
os.execvp(sys.argv[1], sys.argv[1:])
"""


def mere_user() -> tuple[str, ...]:
    """The command under which a program runs as a mere user; none is needed if the tests do so themselves."""
    return (sys.executable, "-c", _DROP) if os.geteuid() == 0 else ()


def need_modes_that_count(folder: Path) -> None:
    """Skip where the mode of a folder stops nobody."""
    closed = folder / "closed"
    closed.mkdir(mode=0o500)
    code = "import pathlib, sys; pathlib.Path(sys.argv[1], 'file').touch()"
    done = subprocess.run([*mere_user(), sys.executable, "-c", code, closed], capture_output=True, check=False)
    if done.returncode == 0:
        pytest.skip("here the mode of a folder stops nobody: no right could be taken from a process")
