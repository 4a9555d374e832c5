"""A stand-in for the base image, where no registry is in reach: Debian's Python, laid out as the official image's is.

It has what `Dockerfile.alpine` counts on (Python under /usr/local with venv and pip, busybox, `apk add` for a
compiler), so an engine builds the file as it stands, with `--build-arg BASE=` this. It cannot show musl; `test_wheels`
looks at that. Packages come from the sources of this machine's apt, into a cache folder, and nothing is installed.
"""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

PYTHON = "python3.11"
"""Debian 12's; every pinned dependency has wheels from 3.11 on."""
# libstdc++ is what wheels for glibc count on; those for musl bring it along.
_RUN_TIME = (f"{PYTHON}-minimal", f"{PYTHON}-venv", PYTHON, "busybox-static", "libstdc++6")
_COMPILER = ("gcc", "binutils", f"lib{PYTHON}-dev")
# Their maintainer scripts or Debian's own tools want them; a running Python does not.
# fmt: off
_UNUSED = (
    "ca-certificates_", "debconf_", "dpkg_", "libacl1_", "libcom-err2_", "libdb5.3_", "libgssapi-krb5-2_",
    "libk5crypto3_", "libkeyutils1_", "libkrb5-3_", "libkrb5support0_", "libmd0_", "libnsl2_", "libpcre2-8-0_",
    "libpython3-stdlib_", "libselinux1_", "libtirpc-common_", "libtirpc3_", "libzstd1_", "media-types_", "openssl_",
    "python3_", "python3-minimal_", "readline-common_", "tar_",
)
# fmt: on
_OF_GCC = "libzstd1_"  # one of those is the compiler's
_UNREAD = (*(f"usr/share/{name}" for name in ("doc", "man", "locale", "lintian", "bug", "info")), "usr/lib/*/gconv")
_APPLETS = "sh chown ls cat cp mv rm mkdir ln find sed grep chmod id env sleep kill ps wget tar true"
_APK = """#!/bin/sh
# Stands in for Alpine's apk: whatever is asked for, a compiler and Python's headers are laid in.
exec cp -a /standin/compiler/. /
"""


def cache_folder() -> Path:
    """Where packages and images are kept between runs: EDGECLIENT_IMAGE_CACHE, or a folder of the user's cache."""
    told = os.environ.get("EDGECLIENT_IMAGE_CACHE")
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(told) if told else base / "edgeclient-image"


def recipe() -> str:
    """Names what this file makes; another file makes something else, and what is kept is not used again."""
    return hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]


def base_tree(architecture: str) -> Path:
    """The root file system of the stand-in for a Debian architecture, made once.

    Raises:
        subprocess.CalledProcessError: apt could not fetch it.
    """
    return _made(f"base-{architecture}", lambda folder: _lay_base(folder, architecture))


def compiler_tree(architecture: str) -> Path:
    """What `apk add` lays in, made once.

    Raises:
        subprocess.CalledProcessError: apt could not fetch it.
    """
    return _made(f"compiler-{architecture}", lambda folder: _lay_compiler(folder, architecture))


def _made(name: str, lay: Callable[[Path], None]) -> Path:
    done = cache_folder() / f"{name}-{recipe()}"
    if not done.exists():
        unfinished = done.with_name(f"{done.name}.{os.getpid()}")
        unfinished.mkdir(parents=True)
        try:
            lay(unfinished)
            unfinished.rename(done)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return done


def _lay_base(root: Path, architecture: str) -> None:
    _unpack(_needed(_fetched(architecture, _RUN_TIME)), root)
    _move_to_local(root)
    for applet in _APPLETS.split():
        (root / "bin" / applet).symlink_to("/bin/busybox")
    for folder in ("tmp", "proc", "sys", "dev", "run", "root", "etc/ssl/certs", "var/lib"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "tmp").chmod(0o1777)
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n", encoding="utf-8")
    (root / "etc/group").write_text("root:x:0:\n", encoding="utf-8")
    trusted = "etc/ssl/certs/ca-certificates.crt"
    shutil.copyfile(Path("/") / trusted, root / trusted)
    apk = root / "sbin/apk"
    apk.parent.mkdir(exist_ok=True)
    apk.write_text(_APK, encoding="utf-8")
    apk.chmod(0o755)


def _lay_compiler(root: Path, architecture: str) -> None:
    """What the compiler needs beyond the base."""
    base = {package.name for package in _fetched(architecture, _RUN_TIME)}
    found = _fetched(architecture, _COMPILER)
    _unpack([package for package in found if package.name not in base or package.name.startswith(_OF_GCC)], root)
    _move_to_local(root)


def _move_to_local(root: Path) -> None:
    """Put Python where the official image has it; it finds itself by where its program is."""
    for kind in ("bin", "lib", "include"):
        for path in sorted((root / "usr" / kind).glob(f"{PYTHON}*")):
            target = root / "usr/local" / kind / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            path.rename(target)
    if (root / f"usr/local/bin/{PYTHON}").exists():
        for name in ("python", "python3"):
            (root / "usr/local/bin" / name).symlink_to(PYTHON)


def _needed(packages: list[Path]) -> list[Path]:
    return [package for package in packages if not package.name.startswith(_UNUSED)]


def _unpack(packages: list[Path], root: Path) -> None:
    for package in packages:
        subprocess.run(["dpkg-deb", "--extract", package, root], check=True, capture_output=True)
    for pattern in _UNREAD:
        for path in root.glob(pattern):
            shutil.rmtree(path)


def _fetched(architecture: str, names: tuple[str, ...]) -> list[Path]:
    """The packages and everything they depend on; apt is told a state of its own, in which nothing is installed."""
    folder = cache_folder() / f"apt-{architecture}-{names[0]}"
    for part in ("state/lists/partial", "cache/archives/partial"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    (folder / "status").touch()
    settings = {
        "Dir::State": folder / "state",
        "Dir::State::status": folder / "status",
        "Dir::Cache": folder / "cache",
        "APT::Architecture": architecture,
        "APT::Architectures": architecture,
        "APT::Sandbox::User": "root",
    }
    options = [f"--option={name}={value}" for name, value in settings.items()]
    for action in (["update"], ["install", "--yes", "--download-only", "--no-install-recommends", *names]):
        subprocess.run(["apt-get", "--quiet=2", *options, *action], check=True, capture_output=True)
    return sorted((folder / "cache/archives").glob("*.deb"))
