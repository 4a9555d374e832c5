"""The image as an engine builds it from `Dockerfile.alpine`: what it says of itself, what is in it, what it weighs."""

import json
import re
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from image.elf import read_elf
from image.engine import GIVEN_BASE, ROOT, Engine

MEGABYTE = 10**6
MOST_BYTES = 120 * MEGABYTE
# What the stand-in has as Debian (its C library, OpenSSL, SQLite, busybox), the official image has as Alpine: musl,
# busybox, apk, time zones and the libraries of Python. It is an estimate on the high side: Alpine 3.20 weighed 12 MB.
OF_DEBIAN = ("lib", "lib64", "bin", "sbin", "usr/lib", "usr/bin", "usr/sbin", "usr/share", "etc")
OF_ALPINE_BYTES = 15 * MEGABYTE


@pytest.fixture(scope="module")
def tree(engine: Engine, image: str) -> Iterator[Path]:
    with engine.tree(image) as root:
        yield root


@pytest.fixture(scope="module")
def site(tree: Path) -> Path:
    """Where the packages are; the folder above is named for the Python."""
    (found,) = tree.glob("opt/edgeclient/lib/python3.*/site-packages")
    return found


def instructions() -> list[tuple[str, str]]:
    text = (ROOT / "Dockerfile.alpine").read_text(encoding="utf-8")
    plain = re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", "")
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in plain.splitlines() if line)]


def files(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if stat.S_ISREG(path.lstat().st_mode)]


def weight(root: Path) -> int:
    return sum({found.st_ino: found.st_size for found in (path.lstat() for path in files(root))}.values())


def native(root: Path, *, stripped: bool = False) -> int:
    """Bytes of the libraries; stripped: as they would be (`*.libs` is left as it came)."""
    found = [(path, read_elf(path)) for path in files(root) if ".so" in path.name]
    return sum(elf.kept_bytes if stripped else path.stat().st_size for path, elf in found if elf is not None)


def test_the_base_is_one_argument_that_a_digest_can_be_given_to() -> None:
    bases = {rest.split()[0] for word, rest in instructions() if word == "FROM"}
    (base,) = [rest for word, rest in instructions() if word == "ARG"]

    assert {"${BASE}", "scratch"} == bases
    assert re.fullmatch(r"BASE=python:3\.\d+-alpine3\.\d+", base)


def test_it_says_how_it_is_started_asked_and_ended(engine: Engine, image: str) -> None:
    told = engine.described(image)["config"]

    assert "65532:65532" == told["User"]
    assert (["edgeclient"], ["serve"]) == (told["Entrypoint"], told["Cmd"])  # no shell and no tini between
    assert ["CMD", "edgeclient", "health"] == told["Healthcheck"]["Test"]
    assert {"50051/tcp", "50052/tcp", "9464/tcp"} == set(told["ExposedPorts"])


def test_nothing_in_it_installs_or_compiles(tree: Path) -> None:
    names = {path.name for path in files(tree)}

    assert not names & {"gcc", "cc", "ld", "strip", "pip", "pip3", "Python.h"}
    assert not list(tree.rglob("site-packages/pip")) + list(tree.rglob("site-packages/setuptools"))


def test_its_user_may_write_nothing_but_tmp_and_become_nobody_else(tree: Path) -> None:
    modes = {str(path.relative_to(tree)): path.lstat() for path in tree.rglob("*") if not path.is_symlink()}

    assert {"tmp"} == {Path(name).name for name, found in modes.items() if found.st_mode & stat.S_IWOTH}  # and /var/tmp
    assert [] == [name for name, found in modes.items() if found.st_mode & (stat.S_ISUID | stat.S_ISGID)]
    assert {0} == {found.st_uid for found in modes.values()}


def test_python_compiles_nothing_at_start(tree: Path, site: Path) -> None:
    """With a read-only root it would do so at each start."""
    python = site.parent.name
    tag = python.replace("python", "cpython-").replace(".", "")
    folders = (site, tree / "usr/local/lib" / python)
    sources = [path for folder in folders for path in folder.rglob("*.py") if "-" not in path.parent.name]

    compiled = {path: path.parent / "__pycache__" / f"{path.stem}.{tag}.pyc" for path in sources}
    assert [] == [str(path) for path, beside in compiled.items() if not beside.exists()]
    assert {b"\x01\0\0\0"} == {beside.read_bytes()[4:8] for beside in compiled.values()}  # unchecked: no date matters


def test_protobuf_is_compiled(engine: Engine, image: str) -> None:
    command = engine.run_command(image, "--rm", arguments=("version", "--json"))
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert "upb" == json.loads(done.stdout)["protobuf_implementation"]


def test_what_was_taken_away_nobody_imports(engine: Engine, image: str) -> None:
    code = """
import importlib, pkgutil, edgeclient, redis.asyncio
names = [module.name for module in pkgutil.walk_packages(edgeclient.__path__, "edgeclient.")]
print(len([importlib.import_module(name) for name in names if not name.endswith("__main__")]))
"""
    command = engine.run_command(image, "--rm", "--entrypoint=python", arguments=("-c", code))
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert 0 == done.returncode, done.stderr
    assert len(list((ROOT / "edgeclient").rglob("*.py"))) - 10 < int(done.stdout)


@pytest.mark.skipif(not GIVEN_BASE, reason="estimated, unless IMAGE_BASE names a base")
def test_it_weighs_no_more_than_its_budget(tree: Path) -> None:
    whole = weight(tree)

    print(f"{whole / MEGABYTE:.1f} MB unpacked")  # noqa: T201  -s shows it
    assert whole <= MOST_BYTES


@pytest.mark.skipif(bool(GIVEN_BASE), reason="it is weighed")
def test_on_alpine_it_would_weigh_no_more_than_its_budget(tree: Path, site: Path, musl: tuple[str, Path]) -> None:
    """All but the libraries is measured in the image; these are exchanged for those of the wheels for musl."""
    architecture, wheels = musl
    (apsw,) = [elf.kept_bytes for path in wheels.glob("apsw/__init__.*.so") if (elf := read_elf(path))]
    theirs = native(wheels, stripped=True) - native(wheels / "apsw", stripped=True) + apsw
    of_debian = sum(weight(tree / folder) for folder in OF_DEBIAN if (tree / folder).is_dir())
    whole = weight(tree) - of_debian - native(site) + native(site / "google") + theirs + OF_ALPINE_BYTES

    print(f"{architecture}: {whole / MEGABYTE:.1f} MB unpacked, {theirs / MEGABYTE:.1f} MB of it compiled wheels")  # noqa: T201  -s shows it
    assert whole <= MOST_BYTES
