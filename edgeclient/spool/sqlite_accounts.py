"""Accounts in the queue's database: the port `Accounts`, through the queue's own thread and commits."""

from edgeclient.core.accounts import Kept
from edgeclient.spool import account_rows
from edgeclient.spool.session import Session
from edgeclient.spool.spool import SqliteSpool


class SqliteAccounts:
    """Implements `edgeclient.core.accounts.Accounts`. Usable while the queue is open.

    Args:
        spool: The queue.
    """

    def __init__(self, spool: SqliteSpool) -> None:
        self._spool = spool
        self._first_day = -1

    async def load(self) -> Kept:
        """See `Accounts.load`."""
        return await self._spool.operate(lambda session: account_rows.load(session.connection))

    async def save(self, kept: Kept, *, drop_before_day: int) -> bool:
        """See `Accounts.save`. Once a day it tidies up as well."""
        is_new_day, self._first_day = drop_before_day != self._first_day, drop_before_day

        def saved(session: Session) -> bool:
            if is_new_day:
                account_rows.tidy(session)
            return account_rows.save(session, kept, drop_before_day=drop_before_day)

        return await self._spool.operate(saved)

    async def erase(self, caller: str) -> None:
        """See `Accounts.erase`."""
        await self._spool.operate(lambda session: account_rows.erase(session, caller), scrubs=True)
