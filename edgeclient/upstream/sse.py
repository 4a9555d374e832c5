r"""Server-sent events from bytes, however they were cut.

The provider's gateway and the relays in front of it bend the format, so this parser is tolerant: comments, `id:` and
unknown fields are passed over, CR LF and LF both end a line, the space after the colon is optional, a byte order mark
is dropped, `data:` may have several lines, and an event at the end of the body needs no blank line. A CR alone ends no
line: nobody sends that, and it would make the result depend on where the bytes were cut.

One oddity carries meaning. The provider reports an error in mid-stream with its HTTP status in a *comment*:

    id:1
    event:error
    :HTTP_STATUS/429
    data:{"request_id":"...","code":"Throttling.AllocationQuota","message":"..."}

so that comment is read. Nothing else is known here about what the data mean.
"""

from collections.abc import Iterator

from msgspec import Struct

from edgeclient.core.errors import Reason, Uncertain

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_STATUS = b":HTTP_STATUS/"


class Frame(Struct, frozen=True, gc=False):
    """One event. A struct and not a dataclass because there is one for each token.

    Attributes:
        data: The lines of data, joined by line feeds, without white space around them.
        event: Kind of the event; "" if not told.
        http_status: Status told in a comment; 0 if not told.
    """

    data: bytes
    event: str = ""
    http_status: int = 0

    @property
    def is_error(self) -> bool:
        """The frame itself says so, whatever its data look like."""
        return self.event == "error" or self.http_status >= 400  # noqa: PLR2004  HTTP errors begin here


class SseParser:
    """Turns a stream of bytes into events.

    Args:
        limit_bytes: Longest event; a longer one is an error, because it would have to be kept until its end.
    """

    __slots__ = ("_begun", "_data", "_event", "_limit_bytes", "_size_bytes", "_status", "_tail", "_tail_bytes")

    def __init__(self, *, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._tail: list[bytes] = []  # pieces of a line whose end has not come yet
        self._tail_bytes = 0
        self._begun = False
        self._data: list[bytes] = []
        self._size_bytes = 0
        self._event = ""
        self._status = 0

    def feed(self, chunk: bytes) -> Iterator[Frame]:
        """The events that these bytes complete, in order.

        Raises:
            Uncertain: An event is longer than the limit.
        """
        end = chunk.rfind(b"\n")
        if end >= 0:
            lines = chunk[:end].split(b"\n")
            if self._tail:
                lines[0] = b"".join([*self._tail, lines[0]])
                self._tail.clear()
                self._tail_bytes = 0
            for line in lines:
                frame = self._line(line)
                if frame is not None:
                    yield frame
            chunk = chunk[end + 1 :]
        if chunk:
            self._tail.append(chunk)
            self._tail_bytes += len(chunk)
            self._check(self._size_bytes + self._tail_bytes)

    def finish(self) -> Iterator[Frame]:
        """The event that the end of the body completes, if there is one."""
        for line in (b"".join(self._tail), b""):
            frame = self._line(line)
            if frame is not None:
                yield frame
        self._tail.clear()

    def _line(self, line: bytes) -> Frame | None:
        self._check(self._size_bytes + len(line))
        if not self._begun:
            self._begun = True
            line = line.removeprefix(_BYTE_ORDER_MARK)
        line = line.rstrip(b"\r")
        if not line:
            return self._dispatch()
        if line.startswith(b"data:"):
            self._data.append(line[5:])
            self._size_bytes += len(line)
        elif line.startswith(b"event:"):
            self._event = line[6:].strip().decode(errors="replace")
        elif line.startswith(_STATUS):
            digits = line[len(_STATUS) :].strip()
            self._status = int(digits) if digits.isdigit() and len(digits) == len("429") else 0
        return None

    def _dispatch(self) -> Frame | None:
        data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
        frame = Frame(data.strip(), self._event, self._status)
        self._data = []
        self._size_bytes = 0
        self._event = ""
        self._status = 0
        return frame if frame.data or frame.is_error else None

    def _check(self, size_bytes: int) -> None:
        if size_bytes > self._limit_bytes:
            raise too_long(self._limit_bytes)


def too_long(limit_bytes: int) -> Uncertain:
    """The answer is longer than this node reads."""
    return Uncertain(
        Reason.ERROR_REASON_UPSTREAM_BAD_RESPONSE,
        f"The provider's answer is longer than {limit_bytes} bytes, the most that this node reads"
        " (upstream.max_response_bytes); ask for fewer tokens or raise the limit",
    )
