"""The seam between the queue and its encryption.

The queue decides *what* is secret (request, answer, error, content hash), the vault *how*. Each caller has a data key
of its own; the queue stores it wrapped, as the vault gives it, and hands the unwrapped one back with each use. So
erasing a caller is deleting one row. All methods are called from the queue's own thread, are fast, and do no I/O.
"""

from pathlib import Path
from typing import Protocol

from edgeclient.spool.node_key import node_key


class SealError(Exception):
    """Sealed bytes or a wrapped key cannot be opened: another node key, or they were altered."""


class Vault(Protocol):
    """Keeps secrets. `seal` and `open` are inverse for the same key and the same `aad`, else `SealError`."""

    @property
    def scheme(self) -> str:
        """Name of the method, after a colon which node key; "plain" for none. A queue keeps its scheme for life."""
        ...

    def new_caller_key(self) -> bytes:
        """A new data key, wrapped by the node key: the form that is stored."""
        ...

    def unwrap(self, wrapped: bytes) -> bytes:
        """The data key of a wrapped one, for `seal` and `open`. `SealError`: it was wrapped by another node key."""
        ...

    def seal(self, caller_key: bytes, aad: bytes, plaintext: bytes) -> bytes:
        """Encrypt; `aad` says what it is and whose, and is needed again to open."""
        ...

    def open(self, caller_key: bytes, aad: bytes, sealed: bytes) -> bytes:
        """Decrypt, or `SealError` if a bit is not as it was."""
        ...


class PlainVault:
    """No key is configured: content is stored as it is. The queue's own checksums still find altered bytes."""

    __slots__ = ()
    scheme = "plain"

    def new_caller_key(self) -> bytes:
        """None is needed."""
        return b""

    def unwrap(self, wrapped: bytes) -> bytes:
        """None is needed; one that exists belongs to a queue that is encrypted."""
        if wrapped:
            raise SealError("there is a key where none is expected")
        return b""

    def seal(self, caller_key: bytes, aad: bytes, plaintext: bytes) -> bytes:  # noqa: ARG002  the port
        """The same bytes."""
        return plaintext

    def open(self, caller_key: bytes, aad: bytes, sealed: bytes) -> bytes:  # noqa: ARG002  the port
        """The same bytes."""
        return sealed


def vault_of(key_file: str) -> Vault:
    """The vault that the setting `spool.encryption_key_file` asks for.

    Raises:
        SettingError: The file holds no key, see `node_key`.
    """
    if not key_file:
        return PlainVault()
    from edgeclient.spool.vault import KeyedVault  # noqa: PLC0415  ciphers are megabytes, and a plain queue needs none

    return KeyedVault(node_key(Path(key_file)))
