"""Writes log lines to standard error: JSON for machines, or a console format for people.

Each line has `timestamp` (UTC), `level`, `event` (a stable word), `message` (a sentence), `node` and the fields of the
event that are not empty. Lines are written at once and directly, not through the standard library's logging, which
costs more than twice as much; what foreign libraries log there is brought here by `library_logs.py`.

A write blocks if whoever reads standard error does not read. That is why so little is written, and it is the reader's
duty, as with every daemon that logs to it.
"""

import os
from collections.abc import Callable, MutableMapping
from dataclasses import fields
from datetime import UTC, datetime
from enum import Enum
from traceback import extract_tb
from typing import Any, BinaryIO

import msgspec
import structlog

from edgeclient.config.schema import LogConfig
from edgeclient.core.events import Event
from edgeclient.core.ports import Clock
from edgeclient.telemetry.fanout import Subscriber
from edgeclient.telemetry.line import LEVELS, Choice, Line
from edgeclient.telemetry.lines import LINES
from edgeclient.telemetry.redaction import redact_value
from edgeclient.telemetry.suppression import Suppression

RESERVED = ("timestamp", "level", "event", "message", "node")
"""Fields of every line. `CallFinished.message` is told in the sentence; no other event has a field of these names."""

_Fields = MutableMapping[str, Any]


class Logs:
    """The log of the node.

    Args:
        config: Format and level.
        node_id: Name of the node.
        clock: Time of the lines and of the suppression.
        stream: Where lines are written, such as `sys.stderr.buffer`.
        is_terminal: A person is looking at the stream.

    Attributes:
        table: What is done with each type of event; types that the level excludes are not in it.
    """

    def __init__(
        self, config: LogConfig, *, node_id: str, clock: Clock, stream: BinaryIO, is_terminal: bool = False
    ) -> None:
        self._node_id = node_id
        self._clock = clock
        self._suppression = Suppression()
        self._stream = stream
        self._is_terminal = is_terminal
        self.apply(config)

    def apply(self, config: LogConfig) -> None:
        """From now on write like this. The `table` is another one then."""
        self._threshold = LEVELS[config.level]
        console = config.format == "console" or (config.format == "auto" and self._is_terminal)
        self._logger = structlog.wrap_logger(
            structlog.BytesLogger(self._stream),
            processors=[self._stamp, _redact, _console(colours=self._is_terminal) if console else _json],
            wrapper_class=structlog.make_filtering_bound_logger(self._threshold),
            context_class=dict,
        ).bind()
        self.table: dict[type[Event], Subscriber] = {
            event_type: self._subscriber(event_type, line)
            for event_type, line in LINES.items()
            if line is not None and self._is_ever_told(line)
        }

    def write(self, level: str, word: str, message: str, **more: Any) -> None:
        """Write a line that is not an event's, such as one of a library. Safe to call from any thread."""
        self._logger.log(LEVELS[level], word, message=message, **more)

    def subscriber_failed(self, subscriber: str, event: str, error: Exception) -> None:
        """Tell that an outlet could not take a fact."""
        kind = type(error).__name__
        suppressed = self._suppression.admit((subscriber, event, kind), now_s=self._clock.monotonic_s())
        if suppressed is None:
            return
        frames = extract_tb(error.__traceback__)
        where = f"{os.path.basename(frames[-1].filename)}:{frames[-1].lineno}" if frames else ""  # noqa: PTH119  a name
        self.write(
            "error",
            "subscriber_failed",
            f"{subscriber} could not take {event}: {kind}; this is a bug, please report it",
            subscriber=subscriber,
            kind=kind,
            where=where,
            suppressed=suppressed,
        )

    def _is_ever_told(self, line: Line | Choice) -> bool:
        lines = line.lines if isinstance(line, Choice) else (line,)
        return any(LEVELS[line.level] >= self._threshold for line in lines)

    def _subscriber(self, event_type: type[Event], line: Line | Choice) -> Subscriber:
        read = _reader(event_type)
        if isinstance(line, Line):
            return lambda event: self._tell(line, read(event))
        pick, threshold = line.pick, self._threshold

        def choose(event: Event) -> None:
            picked = pick(event)
            if picked is not None and LEVELS[picked.level] >= threshold:
                self._tell(picked, read(event))

        return choose

    def _tell(self, line: Line, values: dict[str, Any]) -> None:
        suppressed = 0
        if line.once_per is not None:
            key = (line.word, *(values[name] for name in line.once_per))
            admitted = self._suppression.admit(key, now_s=self._clock.monotonic_s())
            if admitted is None:
                return
            suppressed = admitted
        message = line.sentence.format_map(values)
        told = {name: value for name, value in values.items() if value not in ("", None) and name not in RESERVED}
        if suppressed:
            told["suppressed"] = suppressed
        self.write(line.level, line.word, message, **told)

    def _stamp(self, _logger: Any, level: str, values: _Fields) -> _Fields:
        moment = datetime.fromtimestamp(self._clock.wall_s(), UTC)
        return {
            "timestamp": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": level,
            "event": values.pop("event"),
            "message": values.pop("message"),
            "node": self._node_id,
            **values,
        }


def _reader(event_type: type[Event]) -> Callable[[Event], dict[str, Any]]:
    names = [field.name for field in fields(event_type)]  # type: ignore[arg-type]  # every event is a dataclass
    return lambda event: {name: _plain(getattr(event, name)) for name in names}


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    return round(value, 6) if isinstance(value, float) else value  # microseconds are enough for a log


def _redact(_logger: Any, _level: str, values: _Fields) -> _Fields:
    return {name: redact_value(value) for name, value in values.items()}


def _json(_logger: Any, _level: str, values: _Fields) -> bytes:
    return msgspec.json.encode(values)


def _console(*, colours: bool) -> Callable[[Any, str, _Fields], bytes]:
    render = structlog.dev.ConsoleRenderer(colors=colours and "NO_COLOR" not in os.environ, event_key="message")
    return lambda logger, level, values: str(render(logger, level, values)).encode(errors="backslashreplace")
