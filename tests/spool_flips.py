"""Bits that turn in the file of a queue: what SQLite takes for sound, and is not what was written."""

from pathlib import Path
from typing import Any

import apsw

_LEAF_OF_INDEX = 0x0A
_PAGE_BYTES = 4096


def flip_job(database: Path, job_id: str, **columns: Any) -> None:
    """Set columns of a job's row; its checksum stays what it was."""
    _flip(database, "job", "id = :key", columns, job_id)


def flip_ledger(database: Path, **columns: Any) -> None:
    """The same for the counts."""
    _flip(database, "ledger", "only_row = :key", columns, 1)


def flip_index(database: Path, text: str) -> None:
    """Change the last letter of a text wherever it stands in an index, and nowhere else."""
    checkpoint(database)
    data, wanted = bytearray(database.read_bytes()), text.encode()
    for start in range(_PAGE_BYTES, len(data), _PAGE_BYTES):
        position = data.find(wanted, start, start + _PAGE_BYTES)
        if data[start] == _LEAF_OF_INDEX and position >= 0:
            data[position + len(wanted) - 1] ^= 1
    database.write_bytes(data)


def checkpoint(database: Path) -> None:
    """All of the log goes into the file."""
    connection = apsw.Connection(str(database))
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    connection.close()


def _flip(database: Path, table: str, where: str, columns: dict[str, Any], key: Any) -> None:
    connection = apsw.Connection(str(database))
    written = connection.execute(f"SELECT checksum FROM {table} WHERE {where}", {"key": key}).get  # noqa: S608  ours

    def lie(*_: Any) -> Any:
        return written

    connection.create_scalar_function("crc32", lie, 1, deterministic=True, flags=apsw.SQLITE_INNOCUOUS)
    values = ", ".join(f"{name} = :{name}" for name in columns)
    connection.execute(f"UPDATE {table} SET {values} WHERE {where}", {**columns, "key": key})  # noqa: S608  ours
    assert connection.changes() == 1
    connection.close()
