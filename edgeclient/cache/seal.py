"""The seam between what is kept outside of the process and how it is protected there.

A sealed body opens in its own place only: the same bytes under another name, owner or moment are refused. So a page
that landed in the wrong place, a reply of Redis that belongs to another question, or a bit that has flipped is a miss,
never somebody else's answer. Names (digests of requests, callers) go through `tag`, so that with a key they tell
nothing either: without one, whoever has the file could confirm a guess of what was asked.
"""

from hashlib import blake2b
from typing import Protocol

TAG_BYTES = 16
_CHECKSUM_BYTES = 16
_VERSION = b"\x00"


class SealError(Exception):
    """Bytes are not what was sealed here, or were sealed with another key."""


class Seal(Protocol):
    """Protects bodies and names. All methods are fast and do no I/O."""

    @property
    def scheme(self) -> str:
        """Name of the method, after a colon which key; what was sealed with another one cannot be opened."""
        ...

    def seal(self, place: bytes, body: bytes) -> bytes:
        """The body, bound to its place."""
        ...

    def open(self, place: bytes, sealed: bytes) -> bytes:
        """What was sealed at this place, or `SealError`."""
        ...

    def tag(self, name: bytes) -> bytes:
        """What stands for a name, 16 bytes."""
        ...


class Checksum:
    """No key is configured: bodies can be read, but not altered without notice."""

    __slots__ = ()
    scheme = "plain"

    def seal(self, place: bytes, body: bytes) -> bytes:
        """The body behind its checksum."""
        return _VERSION + _checksum(place, body) + body

    def open(self, place: bytes, sealed: bytes) -> bytes:
        """The body.

        Raises:
            SealError: It is not what was sealed here.
        """
        start = len(_VERSION) + _CHECKSUM_BYTES
        body = sealed[start:]
        if not sealed.startswith(_VERSION) or sealed[len(_VERSION) : start] != _checksum(place, body):
            raise SealError("a kept answer is damaged, or not of this place")
        return body

    def tag(self, name: bytes) -> bytes:
        """A hash."""
        return blake2b(name, digest_size=TAG_BYTES).digest()


def _checksum(place: bytes, body: bytes) -> bytes:
    return blake2b(len(place).to_bytes(4) + place + body, digest_size=_CHECKSUM_BYTES).digest()
