"""What the queue does for itself now and then: take the ballast on again, give space back, store the time."""

from pathlib import Path

from edgeclient.spool.salvage import drop_damaged
from edgeclient.spool.session import Session

_VACUUM_PAGES = 256  # one step; a queue that has shrunk gives its space back over some minutes


def tidy(session: Session) -> None:
    """One round. The stored clock is what queue time goes on from after a reboot, so it is stored even if idle."""
    session.room.recover(session.connection)
    session.connection.execute(f"PRAGMA incremental_vacuum({_VACUUM_PAGES})").fetchall()
    session.dirty = True
    drop_damaged(Path(session.config.directory), older_than_s=session.config.retention_s)
