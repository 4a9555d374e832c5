"""Health follows the uplink: ChatService is NOT_SERVING while the provider is not known to be reachable.

A client that balances over several nodes, or an orchestrator, looks there before it sends. The process itself ("") is
healthy all the same, and so is NodeService, which answers from memory.
"""

import asyncio
from collections.abc import Callable

from edgeclient.core.events import Event, Uplink
from edgeclient.ingress.health import Health
from edgeclient.ingress.methods import CHAT_SERVICE, NODE_SERVICE

_SERVING = (Uplink.ONLINE, Uplink.DEGRADED)


class UplinkHealth:
    """Keeps the health service true.

    Args:
        health: The service.
        uplink: Best state of all targets.
    """

    def __init__(self, health: Health, *, uplink: Callable[[], Uplink]) -> None:
        self._health = health
        self._uplink = uplink
        self._changed = asyncio.Event()

    def uplink_changed(self, _event: Event) -> None:
        """Take the fact that the uplink has changed."""
        self._changed.set()

    async def run(self) -> None:
        """Follow until cancelled."""
        self._health.set(NODE_SERVICE, serving=True)
        while True:
            self._changed.clear()
            self._health.set(CHAT_SERVICE, serving=self._uplink() in _SERVING)
            await self._changed.wait()
