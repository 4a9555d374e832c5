"""Every pinned dependency as a wheel for musl, on the processors of the image, unpacked without being run."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from image.base import cache_folder
from image.engine import ROOT

LOCK = ROOT / "requirements.lock"
PYTHON = "3.13"
"""Of the base image that `Dockerfile.alpine` names."""
ARCHITECTURES = ("aarch64", "x86_64")


def musl_tree(architecture: str) -> Path:
    """All of the lock file, as pip chooses for Alpine; from the cache if the lock is the same.

    Raises:
        subprocess.CalledProcessError: Something has no wheel, its hash is not that of the lock, or there is no network.
    """
    name = hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]
    done = cache_folder() / f"musl-{architecture}-{PYTHON}-{name}"
    if not done.exists():
        unfinished = done.with_name(f"{done.name}.{os.getpid()}")
        try:
            _install(architecture, unfinished)
            unfinished.rename(done)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return done


def _install(architecture: str, target: Path) -> None:
    platforms = [f"--platform=musllinux_1_{minor}_{architecture}" for minor in (2, 1)]  # Alpine takes both
    chosen = [f"--python-version={PYTHON}", "--implementation=cp", *platforms]
    strict = ["--no-deps", "--require-hashes", "--only-binary=:all:", "--no-compile"]
    command = [sys.executable, "-m", "pip", "install", "--quiet", f"--target={target}", *chosen, *strict, f"-r{LOCK}"]
    subprocess.run(command, check=True, capture_output=True, text=True)
