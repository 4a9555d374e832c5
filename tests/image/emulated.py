"""The daemon on arm64, for real, where only another processor is at hand: Debian's Python under qemu's user emulation.

What runs is the wheels for glibc, laid into the stand-in of the base; those for musl are looked at by `test_wheels`.
Emulation is ten times slower and more, so this is no measure of anything but that it works.
"""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from image.base import PYTHON, base_tree, cache_folder, recipe
from image.engine import ROOT
from image.wheels import LOCK

QEMU = "qemu-aarch64-static"
_SITE = "opt/edgeclient"
_PLATFORMS = ("manylinux2014_aarch64", "manylinux_2_17_aarch64", "manylinux_2_28_aarch64")
# In a mount namespace of its own: the root read-only, and what a container always has.
_ENTER = """
set -e
mount --bind "$ROOT" "$ROOT"
mount -o remount,bind,ro "$ROOT"
mount -t proc proc "$ROOT/proc"
mount --rbind /dev "$ROOT/dev"
exec chroot --userspec=65532:65532 "$ROOT" /QEMU "$@"
""".replace("QEMU", QEMU)


def missing() -> str:
    """Why it cannot be done here; "" if it can."""
    absent = [name for name in (QEMU, "unshare", "chroot", "apt-get", "dpkg-deb") if shutil.which(name) is None]
    return f"{', '.join(absent)} not installed" if absent else ""


def arm64_tree() -> Path:
    """A root file system for arm64 with the daemon of this folder and its pinned dependencies.

    Raises:
        subprocess.CalledProcessError: Packages or wheels cannot be had.
    """
    root = cache_folder() / f"arm64-{recipe()}"
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(base_tree("arm64"), root, symlinks=True)
    shutil.copyfile(shutil.which(QEMU) or QEMU, root / QEMU)
    (root / QEMU).chmod(0o755)
    chosen = ["--python-version=3.11", "--implementation=cp", *(f"--platform={name}" for name in _PLATFORMS)]
    strict = ["--no-deps", "--require-hashes", "--only-binary=:all:", f"--target={root / _SITE}", f"-r{LOCK}"]
    command = [sys.executable, "-m", "pip", "install", "--quiet", *chosen, *strict]
    subprocess.run(command, check=True, capture_output=True, text=True)
    shutil.copytree(ROOT / "edgeclient", root / _SITE / "edgeclient", ignore=shutil.ignore_patterns("__pycache__"))
    return root


@contextlib.contextmanager
def edgeclient(root: Path, *arguments: str, environ: Mapping[str, str]) -> Iterator["subprocess.Popen[str]"]:
    """The command line, as uid 65532 with a read-only root; killed at the end, if it still runs."""
    command = ["unshare", "--mount", "sh", "-c", _ENTER, "enter", f"/usr/local/bin/{PYTHON}", "-m", "edgeclient"]
    inside = {"PATH": "/usr/local/bin:/bin", "PYTHONPATH": f"/{_SITE}", "PYTHONDONTWRITEBYTECODE": "1", **environ}
    process = subprocess.Popen(
        [*command, *arguments],
        env={"ROOT": str(root), **inside, "PATH": f"{os.defpath}:/usr/sbin:/sbin"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()
