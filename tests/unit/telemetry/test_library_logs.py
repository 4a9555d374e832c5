import io
import json
import logging
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fakes.clock import FakeClock

from edgeclient.config.schema import LogConfig
from edgeclient.telemetry.library_logs import library_logs
from edgeclient.telemetry.logs import Logs

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def lines(clock: FakeClock) -> Iterator[Lines]:
    stream = io.BytesIO()
    logs = Logs(LogConfig(format="json"), node_id="box-1", clock=clock, stream=stream)
    with library_logs(logs, clock=clock):
        yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]


def test_warning_of_a_library_is_a_line_like_any_other(lines: Lines) -> None:
    logging.getLogger("httpx").warning("slow answer from %s", "host")

    (line,) = lines()
    assert (
        line["level"],
        line["event"],
        line["message"],
        line["logger"],
        line["node"],
    ) == ("warning", "library_log", "slow answer from host", "httpx", "box-1")


def test_information_of_a_library_is_left_out(lines: Lines) -> None:
    logging.getLogger("httpx").info("HTTP Request: POST")

    assert lines() == []


def test_exception_comes_with_its_traceback_and_without_keys(lines: Lines) -> None:
    try:
        int("sk-0123456789")
    except ValueError:
        logging.getLogger("grpc").exception("failed")

    (line,) = lines()
    assert line["level"] == "error"
    assert "ValueError: invalid literal for int() with base 10: '[redacted]'" in line["traceback"]


def test_warning_of_python_is_a_line(lines: Lines) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn("old function", DeprecationWarning, stacklevel=1)

    (line,) = lines()
    assert line["logger"] == "py.warnings"
    assert "DeprecationWarning: old function" in line["message"]


def test_library_that_repeats_itself_is_told_once_per_interval(lines: Lines, clock: FakeClock) -> None:
    logger = logging.getLogger("grpc")
    for attempt in range(4):
        logger.warning("attempt %d", attempt)
    clock.advance(10)
    logger.warning("attempt %d", 4)

    assert [(line["message"], line.get("suppressed")) for line in lines()] == [("attempt 0", None), ("attempt 4", 3)]


def test_other_threads_may_log(lines: Lines) -> None:
    threads = [
        threading.Thread(target=logging.getLogger(f"library{number}").error, args=("failed",)) for number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {f"library{number}" for number in range(8)} == {line["logger"] for line in lines()}


def test_wrong_format_string_of_a_library_is_survived(lines: Lines, capsys: pytest.CaptureFixture[str]) -> None:
    record = logging.LogRecord("library", logging.WARNING, __file__, 1, "%d", ("no number",), None)

    for handler in logging.getLogger().handlers:
        if "library_logs" in type(handler).__module__:  # pytest has one of its own, which raises
            handler.handle(record)

    assert [line["message"] for line in lines()] == ["%d"]
    assert capsys.readouterr().err == ""


def test_everything_is_put_back() -> None:
    root = logging.getLogger()
    before = (root.level, list(root.handlers), warnings.showwarning)
    logs = Logs(LogConfig(), node_id="", clock=FakeClock(), stream=io.BytesIO())

    with library_logs(logs, clock=FakeClock()):
        assert before[1] != root.handlers

    assert before == (root.level, list(root.handlers), warnings.showwarning)
