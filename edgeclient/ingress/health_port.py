"""Health checks on a port of their own, in plaintext, for probes that cannot do TLS, such as those of a kubelet.

Nothing else is served there: no chat, no reflection, nothing that a network should not see. It opens with the port for
devices and closes after it, so a probe sees the drain to its end.
"""

import grpc.aio

from edgeclient.config.address import why_unbound
from edgeclient.config.setting import SettingError
from edgeclient.ingress.health import Health

_MOST_BYTES = 1024  # of a request; the longest name of a service has some 25
_LAST_WORDS_S = 0.1  # for a probe that is being answered at the end


class HealthPort:
    """The port for probes.

    Args:
        listen: Address and port, or `unix:` and a path.
        health: What it tells.
    """

    def __init__(self, listen: str, health: Health) -> None:
        self._listen = listen
        self._health = health
        self._server: grpc.aio.Server | None = None

    async def start(self) -> None:
        """Bind the port and answer.

        Raises:
            SettingError: The port cannot be used.
        """
        options = [("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", _MOST_BYTES)]
        server = grpc.aio.server(options=options)
        self._health.add_to(server)
        try:
            server.add_insecure_port(self._listen)
        except RuntimeError as error:
            problem = f"{self._listen} {why_unbound(self._listen)}"
            raise SettingError([f"ingress.health_listen: {problem}"]) from error
        await server.start()
        self._server = server

    async def stop(self) -> None:
        """Close the port."""
        if self._server is not None:
            await self._server.stop(_LAST_WORDS_S)
