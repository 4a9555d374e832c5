"""What is secret of a job, sealed and with a checksum over its place and its bytes.

The checksum is there whether content is encrypted or not: a disk that flips a bit, or a page that lands in the wrong
place, must never become an altered prompt or an answer to somebody else. What does not check is `DamagedError`, and
counts as lost.
"""

from enum import Enum
from hashlib import blake2b
from typing import NamedTuple

import apsw

from edgeclient.spool.sealing import SealError, Vault
from edgeclient.spool.statements import statements

_CHECKSUM_BYTES = 16
_CACHED_KEYS = 1024


class Part(Enum):
    """The parts of a job's content. The value is what is stored; never renumber."""

    REQUEST = 1
    RESPONSE = 2
    ERROR = 3
    DIGEST = 4

    def __init__(self, number: int) -> None:
        self.number = number  # `value` costs ten times as much, and each accept wants it often
        self.place = (1).to_bytes(4) + number.to_bytes(1)


class Sealed(NamedTuple):
    """A part in the form that is stored."""

    part: Part
    sealed: bytes
    checksum: bytes


class DamagedError(Exception):
    """Stored bytes are not those that were stored."""


class Contents:
    """The tables `content` and `caller_key`. Used in the queue's thread, within a transaction.

    Attributes:
        vault: Seals and opens.
    """

    def __init__(self, connection: apsw.Connection, vault: Vault) -> None:
        self._connection = connection
        self.vault = vault
        self._sql = statements()
        self._keys: dict[str, bytes] = {}

    def seal(self, job_id: str, caller: str, part: Part, plaintext: bytes) -> Sealed:
        """A part in the form that is stored."""
        return self.seal_all(job_id, caller, (part, plaintext))[0]

    def seal_all(self, job_id: str, caller: str, *parts: tuple[Part, bytes]) -> list[Sealed]:
        """Parts of one job in the form that is stored."""
        key, job_place = self._key(caller, make=True), _job_place(caller, job_id)
        seal, all_sealed = self.vault.seal, []
        for part, plaintext in parts:
            place = job_place + part.place
            sealed = seal(key, place, plaintext)
            all_sealed.append(Sealed(part, sealed, checksum(place, sealed)))
        return all_sealed

    def add(self, seq: int, request: Sealed, digest: Sealed) -> None:
        """Store what a new job has."""
        first = (seq, request.part.number, request.sealed, request.checksum)
        second = (seq, digest.part.number, digest.sealed, digest.checksum)
        self._connection.execute(self._sql["add_contents"], first + second)

    def store(self, seq: int, part: Sealed) -> None:
        """Store a part, in place of the one before."""
        values = {"seq": seq, "part": part.part.number, "sealed": part.sealed, "checksum": part.checksum}
        self._connection.execute(self._sql["put_content"], values)

    def put(self, seq: int, job_id: str, caller: str, part: Part, plaintext: bytes) -> None:
        """Seal and store."""
        self.store(seq, self.seal(job_id, caller, part, plaintext))

    def get(self, seq: int, job_id: str, caller: str, part: Part) -> bytes | None:
        """A part, or None if it is not there.

        Raises:
            DamagedError: It is not what was stored.
        """
        found = self._connection.execute(self._sql["get_content"], {"seq": seq, "part": part.number}).fetchone()
        return None if found is None else self.checked(job_id, caller, part, found[0], found[1])

    def checked(self, job_id: str, caller: str, part: Part, sealed: bytes, stored_checksum: bytes) -> bytes:
        """The plaintext of stored bytes.

        Raises:
            DamagedError: They are not what was stored.
        """
        place = _job_place(caller, job_id) + part.place
        if checksum(place, sealed) != stored_checksum:
            raise DamagedError(f"the stored {part.name.lower()} of job {job_id} is damaged")
        try:
            return self.vault.open(self._key(caller, make=False), place, sealed)
        except SealError as error:
            raise DamagedError(f"the stored {part.name.lower()} of job {job_id} is damaged: {error}") from None

    def drop(self, seq: int, part: Part | None = None) -> None:
        """Delete a part, or all."""
        if part is None:
            self._connection.execute(self._sql["drop_content"], {"seq": seq})
        else:
            self._connection.execute(self._sql["drop_part"], {"seq": seq, "part": part.number})

    def drop_key(self, caller: str) -> None:
        """Make all content of a caller unreadable, wherever a copy of it is."""
        self._connection.execute(self._sql["drop_caller_key"], {"caller": caller})
        self._keys.pop(caller, None)

    def forget_keys(self) -> None:
        """A transaction was rolled back: what is known of keys may not be stored."""
        self._keys.clear()

    def _key(self, caller: str, *, make: bool) -> bytes:
        key = self._keys.get(caller)
        if key is not None:
            return key
        found = self._connection.execute(self._sql["get_caller_key"], {"caller": caller}).fetchone()
        if found is not None:
            wrapped = found[0]
        elif make:
            wrapped = self.vault.new_caller_key()
            self._connection.execute(self._sql["put_caller_key"], {"caller": caller, "wrapped": wrapped})
        else:
            raise SealError("its caller's key is gone")
        if len(self._keys) >= _CACHED_KEYS:
            self._keys.clear()
        key = self._keys[caller] = self.vault.unwrap(wrapped)
        return key


def checksum(place: bytes, sealed: bytes) -> bytes:
    """Over the place and the bytes."""
    return blake2b(place + sealed, digest_size=_CHECKSUM_BYTES).digest()


def _job_place(caller: str, job_id: str) -> bytes:
    """Whose and which; with `Part.place`, what. Each with its length, so that no two places read the same."""
    whose, which = caller.encode(), job_id.encode()
    return len(whose).to_bytes(4) + whose + len(which).to_bytes(4) + which
