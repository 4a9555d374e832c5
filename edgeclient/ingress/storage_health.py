"""Health follows the storage: JobService is NOT_SERVING while nothing can be stored, or if there is no queue at all.

A device that looks there before it hands a job over goes to another node, or keeps the request.
"""

import asyncio

from edgeclient.core.events import Event
from edgeclient.ingress.health import Health
from edgeclient.ingress.methods import JOB_SERVICE


class StorageHealth:
    """Keeps the health service true.

    Args:
        health: The service.
        usable: There is a queue, and it could be opened.
    """

    def __init__(self, health: Health, *, usable: bool) -> None:
        self._health = health
        self._usable = usable
        self._changed = asyncio.Event()

    def failed(self, _event: Event) -> None:
        """Take the fact that the storage cannot be used."""
        self._usable = False
        self._changed.set()

    def recovered(self, _event: Event) -> None:
        """Take the fact that it can be used again."""
        self._usable = True
        self._changed.set()

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            self._changed.clear()
            self._health.set(JOB_SERVICE, serving=self._usable)
            await self._changed.wait()
