"""The image, built once for all tests; where no engine or no network can be had they skip and say why."""

import functools
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from image.engine import Engine
from image.wheels import ARCHITECTURES, musl_tree


@functools.cache
def unreachable() -> str:
    """Why the package index cannot be had; "" if pip reaches one."""
    with tempfile.TemporaryDirectory() as folder:
        asked = ("download", "--quiet", "--no-deps", "--no-cache-dir", "--retries=0", f"--dest={folder}", "h11")
        done = subprocess.run([sys.executable, "-m", "pip", *asked], capture_output=True, text=True, check=False)
    return done.stderr.strip().rpartition("\n")[2] or "pip failed" if done.returncode else ""


def need_network() -> None:
    """Skip where the package index cannot be reached."""
    if why := unreachable():
        pytest.skip(f"the package index is not in reach: {why}")


@pytest.fixture(scope="session")
def engine() -> Engine:
    missing = Engine.missing()
    if missing:
        pytest.skip(missing)
    return Engine()


@pytest.fixture(scope="session")
def image(engine: Engine) -> str:
    need_network()
    return engine.build()


@pytest.fixture(scope="session", params=ARCHITECTURES)
def musl(request: pytest.FixtureRequest) -> tuple[str, Path]:
    need_network()
    return request.param, musl_tree(request.param)
