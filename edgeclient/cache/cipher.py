"""Answers at rest under a key: AES-256-GCM, with a key of its own for each day.

A sealed body is `version (1) | day (4) | nonce (12) | ciphertext | tag (16)`. GCM with random nonces of 96 bits must
stop at 2^32 messages per key; a key per day of storing makes that 49,000 answers a second, for all nodes that share the
key together. A clock that stands still puts all its days into one, which then has the 2^32 alone: enough for a node
that has no clock. The key that is given is never used itself: HKDF makes others of it, for names, for each day, and a
check value that tells which key it is and nothing of it.
"""

import os
from collections.abc import Callable
from hashlib import blake2b

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from edgeclient.cache.seal import TAG_BYTES, SealError

_VERSION = b"\x01"
_DAY_S = 86_400
_DAY_BYTES = 4
_NONCE_BYTES = 12
_TAG_BYTES = 16
_KEY_BYTES = 32
_CHECK_BYTES = 16
_HEAD_BYTES = len(_VERSION) + _DAY_BYTES
_MOST_DAYS_KNOWN = 64


class Cipher:
    """See the module. Used by several threads; what it keeps are results that are the same whoever makes them.

    Args:
        key: 32 bytes.
        purpose: Where it is used; the same key gives others elsewhere.
        wall_s: The time, for the day.
    """

    __slots__ = ("_by_day", "_key", "_naming", "_purpose", "_wall_s", "scheme")

    def __init__(self, key: bytes, *, purpose: str, wall_s: Callable[[], float]) -> None:
        if len(key) != _KEY_BYTES:
            raise ValueError(f"a key has {_KEY_BYTES} bytes, not {len(key)}")
        self._key = key
        self._purpose = f"edgeclient {purpose}: ".encode()
        self._wall_s = wall_s
        self._naming = self._derived(b"names", _KEY_BYTES)
        self._by_day: dict[bytes, AESGCM] = {}
        self.scheme = f"aes-256-gcm:{self._derived(b'check', _CHECK_BYTES).hex()}"

    def __repr__(self) -> str:
        return "<Cipher>"

    def seal(self, place: bytes, body: bytes) -> bytes:
        """The body, unreadable and bound to its place."""
        day = max(0, int(self._wall_s()) // _DAY_S).to_bytes(_DAY_BYTES)
        head, nonce = _VERSION + day, os.urandom(_NONCE_BYTES)
        return head + nonce + self._of_day(day).encrypt(nonce, body, head + place)

    def open(self, place: bytes, sealed: bytes) -> bytes:
        """The body.

        Raises:
            SealError: Something differs: the key, the place, or a bit.
        """
        if len(sealed) < _HEAD_BYTES + _NONCE_BYTES + _TAG_BYTES or not sealed.startswith(_VERSION):
            raise SealError("a kept answer is cut off, or of another version")
        head, nonce = sealed[:_HEAD_BYTES], sealed[_HEAD_BYTES : _HEAD_BYTES + _NONCE_BYTES]
        try:
            return self._of_day(head[len(_VERSION) :]).decrypt(
                nonce, sealed[_HEAD_BYTES + _NONCE_BYTES :], head + place
            )
        except InvalidTag:
            raise SealError("a kept answer cannot be opened: it is damaged, or not of this place or key") from None

    def tag(self, name: bytes) -> bytes:
        """A hash that nobody can make without the key."""
        return blake2b(name, key=self._naming, digest_size=TAG_BYTES).digest()

    def _of_day(self, day: bytes) -> AESGCM:
        cipher = self._by_day.get(day)
        if cipher is None:
            if len(self._by_day) >= _MOST_DAYS_KNOWN:
                self._by_day.clear()
            cipher = self._by_day[day] = AESGCM(self._derived(b"day " + day, _KEY_BYTES))
        return cipher

    def _derived(self, what: bytes, size_bytes: int) -> bytes:
        return HKDF(algorithm=SHA256(), length=size_bytes, salt=None, info=self._purpose + what).derive(self._key)
