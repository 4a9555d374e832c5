"""`Dockerfile.alpine`, built and run by a real container engine (buildah, podman) in a store of its own.

Isolation is chroot and the network the machine's own, so that it works inside of a container too; the file is taken as
it stands. The engine keeps the layers, so a second build repeats only what comes after a change.

The base is a stand-in (`base`), unless IMAGE_BASE names another image, such as
docker.io/library/python:3.13-alpine3.23, that the engine has in its store or can pull.
"""

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from image.base import base_tree, cache_folder, compiler_tree, recipe

ROOT = Path(__file__).resolve().parents[2]
GIVEN_BASE = os.environ.get("IMAGE_BASE", "")
TOOLS = ("buildah", "podman", "runc", *(() if GIVEN_BASE else ("apt-get", "dpkg-deb")))
_IMAGE = "localhost/edgeclient:test"
_PATH = "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
_GUARD_S = 900.0
_NAMESPACES = ("unshare", "--mount", "--pid", "--uts", "--ipc", "--fork", "--mount-proc", "true")
# As the manifests have it; the ulimits because podman's own are more than an engine inside of a container may ask for.
_HARDENED = (
    *("--read-only", "--read-only-tmpfs=false", "--cap-drop=ALL", "--security-opt=no-new-privileges"),
    *("--network=host", "--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024", "--pull=never"),
)


class EngineError(Exception):
    """The engine has failed; the message is what it said last."""


class Engine:
    """An engine with a store in the cache folder."""

    def __init__(self) -> None:
        store = cache_folder() / "store"
        self._store = [f"--root={store / 'root'}", f"--runroot={store / 'run'}", "--storage-driver=overlay"]

    @staticmethod
    def missing() -> str:
        """Why there is none here; "" if there is one."""
        if os.geteuid() != 0:
            return "an image is built as root here"
        absent = [name for name in TOOLS if shutil.which(name) is None]
        if absent:
            return f"{', '.join(absent)} not installed"
        tried = subprocess.run(_NAMESPACES, capture_output=True, text=True, check=False)
        return f"namespaces of its own are refused here: {tried.stderr.strip()}" if tried.returncode else ""

    def build(self, architecture: str = "amd64") -> str:
        """The image of the daemon; returns its id.

        Raises:
            EngineError: A step failed.
            subprocess.CalledProcessError: The packages of the stand-in cannot be had.
        """
        base = [f"--build-arg=BASE={GIVEN_BASE}"] if GIVEN_BASE else self._stand_in(architecture)
        options = ["--isolation=chroot", "--layers", "--network=host", "--format=docker", *self._pip_settings()]
        file = ROOT / "Dockerfile.alpine"
        out = self._run("buildah", "bud", *options, *base, f"--tag={_IMAGE}", f"--file={file}", str(ROOT))
        return out.splitlines()[-1]

    def described(self, image: str) -> dict[str, Any]:
        """What the image says of itself, as Docker spells it."""
        found: dict[str, Any] = json.loads(self._run("buildah", "inspect", "--type=image", image))["Docker"]
        return found

    @contextlib.contextmanager
    def tree(self, image: str) -> Iterator[Path]:
        """The root file system of the image, to look at."""
        container = self._run("buildah", "from", "--pull-never", image).strip()
        try:
            yield Path(self._run("buildah", "mount", container).strip())
        finally:
            self._run("buildah", "rm", container)

    def run_command(self, image: str, *options: str, arguments: Sequence[str] = ()) -> list[str]:
        """The command that runs the image as the manifests do: read-only, without any right, as its own user."""
        return self.command("run", *_HARDENED, *options, image, *arguments)

    def command(self, *arguments: str) -> list[str]:
        """A command of podman."""
        return ["podman", *self._store, "--runtime=runc", *arguments]

    def _stand_in(self, architecture: str) -> list[str]:
        """The options that build on it, and give its `apk` what that lays in."""
        name = f"localhost/edgeclient-base:{architecture}-{recipe()}"
        if not self._succeeds("buildah", "inspect", "--type=image", name):
            self._make_base(architecture, name)
        return [f"--build-arg=BASE={name}", f"--volume={compiler_tree(architecture)}:/standin/compiler:ro"]

    def _make_base(self, architecture: str, name: str) -> None:
        container = self._run("buildah", "from", "scratch").strip()
        try:
            self._run("buildah", "add", "--quiet", container, str(base_tree(architecture)), "/")
            self._run("buildah", "config", f"--env=PATH={_PATH}", f"--label=recipe={recipe()}", container)
            self._run("buildah", "commit", "--quiet", container, name)
        finally:
            self._run("buildah", "rm", container)

    @staticmethod
    def _pip_settings() -> list[str]:
        """The machine's own index, if it has one; the stand-in has the machine's certificates."""
        kept = cache_folder() / "pip.conf"
        lines = ["[global]", "cert = /etc/ssl/certs/ca-certificates.crt"]
        told = subprocess.run(["pip", "config", "get", "global.index-url"], capture_output=True, text=True, check=False)
        index = os.environ.get("PIP_INDEX_URL") or told.stdout.strip()
        kept.write_text("\n".join([*lines, *([f"index-url = {index}"] if index else []), ""]), encoding="utf-8")
        return [f"--volume={kept}:/etc/pip.conf:ro"]

    def _succeeds(self, program: str, *arguments: str) -> bool:
        return self._done(program, *arguments).returncode == 0

    def _run(self, program: str, *arguments: str) -> str:
        done = self._done(program, *arguments)
        if done.returncode:
            last = "\n".join((done.stdout + done.stderr).splitlines()[-30:])
            raise EngineError(f"{program} {arguments[0]} ended with {done.returncode}:\n{last}")
        return done.stdout

    def _done(self, program: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [program, *self._store, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=_GUARD_S)
