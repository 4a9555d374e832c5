"""Content at rest: sealed with a key per caller, which is itself wrapped by the node key.

What it promises: who has the disk but not the node key learns sizes, times and states, no word of a prompt or an
answer; a blob that was changed, cut, or put in another row, field or caller's place is refused, never opened to
something else; when a caller's wrapped key is destroyed, so is everything sealed with it, in every copy of the file.
What it leaves out: an old *whole* copy of the file put back in place is not noticed, and who can read this process's
memory can read the queue.

A sealed blob is `version (1) | nonce (24) | ciphertext | tag (16)`. The cipher is AES-256-GCM with a nonce of 192 bits
(XAES-256-GCM of the C2SP): the first half of the nonce and the caller's key make a key for this one message, the second
half is the nonce of plain GCM. Plain GCM with random 96-bit nonces must stop at 2^32 messages per key; a counter would
have to survive crashes, restored backups and cloned disks. With 192 random bits neither is needed: at 2^80 messages the
chance that any nonce came twice is still 2^-32.

The node key is never used itself: HKDF makes two keys of it, one to wrap with (AES key wrap, RFC 3394: it needs no
nonce, and unwrapping with the wrong key fails), and a check value, which is part of the scheme that the queue stores in
the open, and which says nothing of the first. So a wrong key is refused before anything is touched.
"""

import os
from collections.abc import Callable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from edgeclient.spool.node_key import KEY_BYTES
from edgeclient.spool.sealing import SealError

CIPHER = "xaes-256-gcm"
NONCE_BYTES = 24
_VERSION = b"\x01"
_TAG_BYTES = 16
_BLOCK_BYTES = 16
_CHECK_BYTES = 16
OVERHEAD_BYTES = len(_VERSION) + NONCE_BYTES + _TAG_BYTES

Random = Callable[[int], bytes]


class KeyedVault:
    """Encryption under a node key; see the module.

    Args:
        key: The node key.
        random: Source of keys and nonces, for tests with known answers only.

    Attributes:
        scheme: The cipher, and after a colon which node key; two vaults with the same can read each other's content.
    """

    __slots__ = ("_random", "_wrapping", "scheme")

    def __init__(self, key: bytes, *, random: Random = os.urandom) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"a node key has {KEY_BYTES} bytes, not {len(key)}")
        self._wrapping = _derived(key, b"edgeclient spool: wrap", KEY_BYTES)
        self._random = random
        self.scheme = f"{CIPHER}:{_derived(key, b'edgeclient spool: check', _CHECK_BYTES).hex()}"

    def __repr__(self) -> str:
        return "<KeyedVault>"

    def new_caller_key(self) -> bytes:
        """A fresh key for one caller, wrapped."""
        return aes_key_wrap(self._wrapping, self._random(KEY_BYTES))

    def unwrap(self, wrapped: bytes) -> bytes:
        """The caller's key, for `seal` and `open`.

        Raises:
            SealError: It was not wrapped by this node key, or is damaged.
        """
        try:
            key = aes_key_unwrap(self._wrapping, wrapped)
        except (InvalidUnwrap, ValueError):
            raise SealError("a caller's key cannot be unwrapped: it is damaged, or of another node key") from None
        if len(key) != KEY_BYTES:
            raise SealError("a caller's key has the wrong length")
        return _CallerKey(key)

    def rewrap(self, wrapped: bytes, successor: "KeyedVault") -> bytes:
        """The same caller's key under another node key; the content stays as it is.

        Raises:
            SealError: As `unwrap`.
        """
        return aes_key_wrap(successor._wrapping, self.unwrap(wrapped))  # noqa: SLF001  of the same class

    def seal(self, caller_key: bytes, aad: bytes, plaintext: bytes) -> bytes:
        """The text, unreadable and bound to its place.

        Args:
            caller_key: As `unwrap` gave it.
            aad: The place: what `open` has to be given again.
            plaintext: What to hide.
        """
        nonce = self._random(NONCE_BYTES)
        return _VERSION + nonce + _schedule(caller_key).cipher(nonce).encrypt(nonce[12:], plaintext, aad)

    def open(self, caller_key: bytes, aad: bytes, sealed: bytes) -> bytes:
        """What was sealed.

        Raises:
            SealError: Something differs: the key, the place, or a bit. There is no telling which.
        """
        if len(sealed) < OVERHEAD_BYTES or not sealed.startswith(_VERSION):
            raise SealError("sealed content is cut off, or of a later version")
        nonce, ciphertext = sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :]
        try:
            return _schedule(caller_key).cipher(nonce).decrypt(nonce[12:], ciphertext, aad)
        except InvalidTag:
            raise SealError("sealed content cannot be opened: it is damaged, or not of this place or key") from None


def _derived(key: bytes, purpose: bytes, size_bytes: int) -> bytes:
    return HKDF(algorithm=SHA256(), length=size_bytes, salt=None, info=purpose).derive(key)


class _CallerKey(bytes):
    """A caller's key, and with it what each message under it needs again; both are gone when nobody has it any more."""

    schedule: "_Schedule | None" = None


def _schedule(key: bytes) -> "_Schedule":
    if not isinstance(key, _CallerKey):
        return _Schedule(key)
    if key.schedule is None:
        key.schedule = _Schedule(key)
    return key.schedule


class _Schedule:
    """Makes the key of one message of the caller's: two blocks of AES-CMAC over counter, label and half of the nonce.

    CMAC of one whole block is one encryption of the block masked with a subkey, the doubled encryption of zero.
    """

    __slots__ = ("_encrypted", "_mask")

    def __init__(self, key: bytes) -> None:
        block = Cipher(algorithms.AES256(key), modes.ECB()).encryptor()  # noqa: S305  of single blocks, as CMAC is defined
        zero = int.from_bytes(block.update(bytes(_BLOCK_BYTES)))
        subkey = (zero << 1) & ((1 << 128) - 1) ^ (0x87 if zero >> 127 else 0)
        self._encrypted = block.update
        self._mask = subkey ^ int.from_bytes(b"\x00\x01X\x00" + bytes(12))

    def cipher(self, nonce: bytes) -> AESGCM:
        """GCM under the key of the message with this nonce."""
        first = self._mask ^ int.from_bytes(nonce[:12])
        second = first ^ 3 << 112  # the counter, the second byte of the block, is 2 instead of 1
        return AESGCM(self._encrypted(first.to_bytes(_BLOCK_BYTES) + second.to_bytes(_BLOCK_BYTES)))
