"""What an ELF file is made for, needs, and would weigh without what `strip` takes away; read without any tool."""

import struct
from dataclasses import dataclass
from pathlib import Path

MACHINES = {62: "x86_64", 183: "aarch64"}
_NOBITS, _DYNAMIC, _STRINGS = 8, 6, 3
_ALLOCATED = 0x2
_NEEDED = 1
_SECTION = struct.Struct("<IIQQQQIIQQ")
_ENTRY = struct.Struct("<QQ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Elf:
    """A shared library.

    Attributes:
        machine: Such as aarch64.
        needed: Names of the libraries that it asks for.
        kept_bytes: What is loaded, and so what is left after `strip`, but for some names.
    """

    machine: str
    needed: tuple[str, ...]
    kept_bytes: int


def read_elf(path: Path) -> Elf | None:
    """The facts of a 64-bit little-endian file; None if it is none."""
    data = path.read_bytes()
    if data[:6] != b"\x7fELF\x02\x01":
        return None
    machine = struct.unpack_from("<H", data, 18)[0]
    offset, size, count = (*struct.unpack_from("<Q", data, 40), *struct.unpack_from("<HH", data, 58))
    sections = [_SECTION.unpack_from(data, offset + number * size) for number in range(count)]
    kept = [section[4] + section[5] for section in sections if section[2] & _ALLOCATED and section[1] != _NOBITS]
    return Elf(
        machine=MACHINES.get(machine, str(machine)),
        needed=tuple(
            name for section in sections if section[1] == _DYNAMIC for name in _named(data, section, sections)
        ),
        kept_bytes=max(kept, default=0),
    )


def _named(data: bytes, dynamic: tuple[int, ...], sections: list[tuple[int, ...]]) -> list[str]:
    strings = sections[dynamic[6]]
    entries = [_ENTRY.unpack_from(data, at) for at in range(dynamic[4], dynamic[4] + dynamic[5], _ENTRY.size)]
    starts = [strings[4] + value for tag, value in entries if tag == _NEEDED]
    return [data[start : data.index(b"\0", start)].decode() for start in starts]
