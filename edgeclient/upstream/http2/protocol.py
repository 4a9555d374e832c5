"""h2, set up for this client: what is announced to the peer, and what the peer's words mean."""

from typing import TYPE_CHECKING, Final

import httpx
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, Event
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings

from edgeclient.upstream.http2.stream import NotProcessed

if TYPE_CHECKING:
    from hyperframe.frame import Frame, GoAwayFrame

ALPN_ID: Final = "h2"
_STREAM_WINDOW_BYTES: Final = 1024 * 1024
_CONNECTION_WINDOW_BYTES: Final = 8 * 1024 * 1024
_FIRST_WINDOW_BYTES: Final = 65_535  # RFC 9113, 6.9.2
_HEADER_LIST_BYTES: Final = 64 * 1024
_TYPE: Final = 3  # where a frame tells its type, and what it has to be in the first one (RFC 9113, 3.4)
_SETTINGS: Final = b"\x04"
_CONFIG: Final = H2Configuration(
    client_side=True,
    header_encoding=None,
    validate_inbound_headers=False,  # nothing that comes is passed on to another peer, and it takes a tenth of a call
    validate_outbound_headers=False,  # ours are lower case and complete by construction
    normalize_outbound_headers=False,
)


class ClientProtocol(H2Connection):
    """h2, but for two things: see `take`, and after a GOAWAY it takes further frames.

    Else the streams that the GOAWAY spares would be lost with the others.
    """

    # Of so many streams that are over it is known how they ended, for frames that come late; h2's own 65,536 are 10 MB.
    MAX_CLOSED_STREAMS = 4096

    def __init__(self) -> None:
        super().__init__(_CONFIG)
        self._has_begun = False
        self.local_settings = Settings(
            client=True,
            initial_values={
                SettingCodes.ENABLE_PUSH: 0,
                SettingCodes.INITIAL_WINDOW_SIZE: _STREAM_WINDOW_BYTES,
                SettingCodes.MAX_HEADER_LIST_SIZE: _HEADER_LIST_BYTES,
            },
        )

    def take(self, data: bytes) -> list[Event]:
        """What the peer's bytes say.

        A peer that begins with something else than SETTINGS is found out at once; h2 would take its first letters for
        the length of a frame and wait for the rest.

        Raises:
            ProtocolError: The peer does not speak HTTP/2, or not as it should.
        """
        if not self._has_begun:
            self._has_begun = True
            if data[_TYPE : _TYPE + 1] not in (b"", _SETTINGS):
                raise ProtocolError("no application protocol: the peer does not begin with SETTINGS")
        return self.receive_data(data)

    def begin(self) -> None:
        """Put the preface and our SETTINGS into what is to be sent."""
        self.initiate_connection()
        self.increment_flow_control_window(_CONNECTION_WINDOW_BYTES - _FIRST_WINDOW_BYTES)

    def _receive_goaway_frame(self, frame: "GoAwayFrame") -> tuple[list["Frame"], list[Event]]:
        event = ConnectionTerminated()
        event.error_code = frame.error_code
        event.last_stream_id = frame.last_stream_id
        return [], [event]


def what_a_reset_means(code: ErrorCodes | int | None) -> httpx.TransportError:
    """The error of a stream that the peer has reset."""
    if code == ErrorCodes.REFUSED_STREAM:
        return NotProcessed("not processed: the peer refused the stream")
    return httpx.ReadError(f"the peer reset the stream ({code_name(code)})")


def code_name(code: ErrorCodes | int | None) -> str:
    """An error code as RFC 9113 names it; a number for one that it does not know."""
    try:
        return ErrorCodes(code or 0).name
    except ValueError:
        return str(code)
