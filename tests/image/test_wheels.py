"""Every pinned dependency installs on Alpine, for both processors, and needs nothing there but musl."""

from pathlib import Path

from image.elf import read_elf


def libraries(tree: Path) -> dict[Path, tuple[str, tuple[str, ...]]]:
    found = {path: read_elf(path) for path in tree.rglob("*.so*") if path.is_file()}
    return {path: (elf.machine, elf.needed) for path, elf in found.items() if elf is not None}


def test_every_pin_has_a_wheel_for_musl_of_the_right_processor(musl: tuple[str, Path]) -> None:
    architecture, tree = musl
    found = libraries(tree)

    assert {"apsw", "cryptography", "grpc", "msgspec", "uvloop"} <= {path.relative_to(tree).parts[0] for path in found}
    assert {architecture} == {machine for machine, _ in found.values()}


def test_no_library_asks_for_a_package_of_alpine(musl: tuple[str, Path]) -> None:
    architecture, tree = musl
    brought = {path.name for path in tree.glob("*.libs/*")}
    asked = {name for _, needed in libraries(tree).values() for name in needed}

    assert asked - brought <= {f"libc.musl-{architecture}.so.1", "libc.so"}  # musl's loader answers to both itself


def test_what_has_no_wheel_is_what_the_dockerfile_compiles(musl: tuple[str, Path]) -> None:
    """Pure Python where there ought to be C is what pip takes without a word; protobuf is the known case."""
    _, tree = musl

    assert not list(tree.glob("google/_upb/*.so"))
    assert "--no-binary=protobuf " in (Path(__file__).parents[2] / "Dockerfile.alpine").read_text(encoding="utf-8")
