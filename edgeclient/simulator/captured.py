"""An exchange without a client: what is answered stays here.

Lines of a batch file are answered into one, and so is a request whose answer a fault is to lose.
"""

from .exchange import Headers, Request


class CapturedExchange:
    """An exchange (see `exchange.Exchange`); an answer that breaks off is one that has not ended."""

    __slots__ = ("body", "ended", "request", "status")

    def __init__(self, request: Request) -> None:
        self.request = request
        self.status = 0
        self.body = bytearray()
        self.ended = False

    def send_all(self, status: int, headers: Headers, body: bytes) -> None:
        """Keep the whole answer."""
        self.send_head(status, headers)
        self.body += body
        self.finish()

    def send_head(self, status: int, headers: Headers) -> None:
        """Keep the status; the headers go with the client that is not there."""
        del headers
        self.status = status

    async def write(self, data: bytes) -> None:
        """Keep a piece; there is always room."""
        self.body += data

    def finish(self) -> None:
        """The answer is whole."""
        self.ended = True

    def reset(self, code: int) -> None:
        """Nothing: the answer just never ends."""

    def close_connection(self) -> None:
        """The same."""

    def abort_connection(self) -> None:
        """The same."""

    def goaway(self, code: int, *, accept_this: bool, later_too: bool = False) -> None:
        """Nothing: there is no connection."""

    def limit_streams(self, limit: int) -> None:
        """The same."""

    def stop_reading(self) -> None:
        """The same; the handler that calls this never ends by itself."""
