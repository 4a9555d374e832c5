"""Accounts as rows of the queue's database: functions of a session, and of a bare connection for reading alone.

Accounts never take the room that finishing a job needs: with the ballast off, or no room left for new requests, they
are not stored.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

import apsw
import msgspec

from edgeclient.core.accounts import ERASED, KEYS, SUMS, Kept, QuotaRecord, UsageRow
from edgeclient.spool.session import Session
from edgeclient.spool.statements import named

MOST_QUOTA_ROWS = 8192
_COLUMNS = (*KEYS, *SUMS)
_UNFIT = (apsw.ConstraintError, apsw.MismatchError, TypeError, ValueError)
_FILE = "accounts.sql"
_ROW_BYTES = 1024


def load(connection: apsw.Connection) -> Kept:
    """All that is stored; what does not read as it was written is left out."""
    sql = named(_FILE)
    usage = [UsageRow(**dict(zip(_COLUMNS, row, strict=True))) for row in connection.execute(sql["load_usage"])]
    quota = []
    for kind, name, wall_ms, state in connection.execute(sql["load_quota"]):
        try:
            values = msgspec.json.decode(state, type=dict)
        except msgspec.DecodeError:
            continue
        quota.append(QuotaRecord(kind=kind, name=name, wall_s=wall_ms / 1000, state=values))
    return Kept(quota=quota, usage=usage)


def save(session: Session, kept: Kept, *, drop_before_day: int) -> bool:
    """Put these in the place of those with the same names; False if there is no room."""
    needed_bytes = _ROW_BYTES * (len(kept.usage) + len(kept.quota))
    if session.room.tight or session.room.free_bytes < needed_bytes:
        return False
    sql, connection = named(_FILE), session.connection
    connection.executemany(sql["put_usage"], _usage_values(kept.usage))
    connection.executemany(sql["put_quota"], _quota_values(kept.quota))
    if drop_before_day:
        connection.execute(sql["drop_usage"], {"before_day": drop_before_day})
    session.dirty = True
    return True


def tidy(session: Session) -> None:
    """Forget the limits of those that were not seen for longest."""
    session.connection.execute(named(_FILE)["drop_old_quota"], {"most": MOST_QUOTA_ROWS})
    session.dirty = True


def erase(session: Session, caller: str) -> None:
    """Forget a caller's name; its sums go on under `ERASED`."""
    sql, connection = named(_FILE), session.connection
    connection.execute(sql["erase_usage"], {"caller": caller, "erased": ERASED})
    connection.execute(sql["drop_usage_of"], {"caller": caller})
    connection.execute(sql["drop_quota_of"], {"caller": caller})
    session.dirty = True


def rescue(source: apsw.Connection, target: apsw.Connection) -> None:
    """Copy what can be read of a damaged database into a fresh one; usage from both ends, up to what does not read."""
    sql = named(_FILE)
    for load_name, put_name, names in (
        ("load_usage", "put_usage", _COLUMNS),
        ("load_usage_backwards", "put_usage", _COLUMNS),
        ("load_quota", "put_quota", ("kind", "name", "wall_ms", "state")),
    ):
        for row in _readable(source, sql[load_name]):
            with suppress(*_UNFIT):
                target.execute(sql[put_name], dict(zip(names, row, strict=True)))


def _readable(source: apsw.Connection, statement: str) -> Iterator[Any]:
    with suppress(apsw.Error, UnicodeDecodeError):
        yield from source.execute(statement)


def _usage_values(rows: Iterable[UsageRow]) -> list[dict[str, int | str]]:
    return [{name: getattr(row, name) for name in _COLUMNS} for row in rows]


def _quota_values(records: Iterable[QuotaRecord]) -> list[dict[str, int | str]]:
    return [
        {
            "kind": record.kind,
            "name": record.name,
            "wall_ms": int(record.wall_s * 1000),
            "state": msgspec.json.encode(record.state).decode(),
        }
        for record in records
    ]
