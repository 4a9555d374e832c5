"""Brings what libraries say through the standard library's logging and warnings into the one log.

Only from `warning` up: below that, libraries talk about single requests. It is the one thing here that changes the
process as a whole (the root logger, the hook for warnings), so it is a context manager that puts everything back. A
library that repeats itself is told once per interval. The C core of gRPC writes to standard error by itself and is out
of reach; GRPC_VERBOSITY governs it.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from traceback import format_exception

from edgeclient.core.ports import Clock
from edgeclient.telemetry.logs import Logs
from edgeclient.telemetry.suppression import Suppression

WORD = "library_log"
_MAX_MESSAGE_CHARS = 2000


class _Handler(logging.Handler):
    """Writes records as log lines. `logging` holds the handler's lock around `emit`, whatever the thread."""

    def __init__(self, logs: Logs, clock: Clock) -> None:
        super().__init__(logging.WARNING)
        self._logs = logs
        self._clock = clock
        self._suppression = Suppression()

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record; a record that cannot be written is dropped, as the standard library does."""
        key = (record.name, record.levelno, str(record.msg)[:_MAX_MESSAGE_CHARS])
        suppressed = self._suppression.admit(key, now_s=self._clock.monotonic_s())
        if suppressed is None:
            return
        more: dict[str, str | int] = {"logger": record.name}
        if suppressed:
            more["suppressed"] = suppressed
        try:
            if record.exc_info:
                more["traceback"] = "".join(format_exception(record.exc_info[1])).rstrip()
            level = "error" if record.levelno >= logging.ERROR else "warning"
            self._logs.write(level, WORD, _message(record), **more)
        except Exception:  # noqa: BLE001  such as a closed stream: nothing that the library can help
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  the name is the standard library's
        """Say nothing: the default prints a traceback with the record's arguments, which may hold anything."""


def _message(record: logging.LogRecord) -> str:
    try:
        message = record.getMessage()
    except Exception:  # noqa: BLE001  the template does not fit its arguments; it still says something
        message = str(record.msg)
    return message.strip()[:_MAX_MESSAGE_CHARS]


@contextmanager
def library_logs(logs: Logs, *, clock: Clock) -> Iterator[None]:
    """While this is open, libraries are logged to `logs`."""
    root = logging.getLogger()
    level = root.level
    handler = _Handler(logs, clock)
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
    try:
        yield
    finally:
        logging.captureWarnings(capture=False)
        root.setLevel(level)
        root.removeHandler(handler)
