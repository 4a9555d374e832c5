"""The binaries of a real control plane, built from their published sources through the Go module proxy, once.

Kubernetes publishes its sources as the module k8s.io/kubernetes, whose staging modules it replaces by folders that are
not in the module. A main module of our own replaces them by the versions of the same release instead (1.36.3 goes with
0.36.3). The binaries go into a cache folder outside of the repository, named by the release, and are used from there.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

RELEASE = "1.36.3"
"""Built with Go 1.26; the newest release of which Go 1.26 is the compiler."""
BINARIES = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
MODULE = "k8s.io/kubernetes"


class MissingToolError(Exception):
    """A program that has to be there is not; the message says how it is had."""


def cache_folder() -> Path:
    """Where the binaries are kept: EDGECLIENT_CLUSTER_CACHE, or a folder of the user's cache."""
    told = os.environ.get("EDGECLIENT_CLUSTER_CACHE")
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(told) if told else base / "edgeclient-cluster"


def tool(name: str, remedy: str) -> str:
    """The path of a program on PATH, or of Debian's /usr/sbin.

    Raises:
        MissingToolError: it is not there.
    """
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/go/bin")
    if found is None:
        raise MissingToolError(f"{name} is not on PATH: {remedy}")
    return found


def control_plane(release: str = RELEASE) -> Path:
    """The folder with the three binaries of `release`; builds what is missing (about ten CPU-minutes, 3 GB of cache).

    Raises:
        MissingToolError: there is no Go compiler.
        subprocess.CalledProcessError: the build failed; the compiler's words are on stderr.
    """
    folder = cache_folder() / release
    missing = [name for name in BINARIES if not (folder / name).exists()]
    if missing:
        _build(release, folder, missing)
    return folder


def _build(release: str, folder: Path, names: list[str]) -> None:
    go = tool("go", "install Go, in the version that the release of Kubernetes is built with")
    source = folder / "module"
    source.mkdir(parents=True, exist_ok=True)
    _write_module(go, release, source)
    for name in names:
        print(f"building {name} {release} ...", file=sys.stderr, flush=True)  # noqa: T201
        unfinished = source / name
        command = [go, "build", "-mod=mod", "-trimpath", "-ldflags", _stamp(release), "-o", str(unfinished)]
        _run([*command, f"{MODULE}/cmd/{name}"], source)
        unfinished.rename(folder / name)


def _write_module(go: str, release: str, source: Path) -> None:
    described = json.loads(_run([go, "mod", "download", "-json", f"{MODULE}@v{release}"], source))
    text = Path(described["GoMod"]).read_text(encoding="utf-8")
    staged = re.sub(r"=> \./staging/src/(\S+)", rf"=> \1 v0.{release.partition('.')[2]}", text)
    staged = re.sub(r"^module \S+", "module edgeclient.invalid/controlplane", staged, flags=re.MULTILINE)
    (source / "go.mod").write_text(f"{staged}\nrequire {MODULE} v{release}\n", encoding="utf-8")
    shutil.copyfile(Path(described["Dir"]) / "go.sum", source / "go.sum")
    (source / "go.sum").chmod(0o644)


def _stamp(release: str) -> str:
    """The version as the release's own build stamps it; without it the binaries call themselves v0.0.0."""
    major, minor, _ = release.split(".")
    values = {"gitVersion": f"v{release}", "gitMajor": major, "gitMinor": minor, "gitTreeState": "archive"}
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    flags = [f"-X {package}.{name}={value}" for package in packages for name, value in values.items()]
    return " ".join(["-s", "-w", *flags])


def _run(command: list[str], folder: Path) -> str:
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "", "GOWORK": "off"}
    done = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout
