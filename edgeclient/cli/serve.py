"""`edgeclient serve`: run the daemon until a signal."""

import asyncio
import contextlib
import gc
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click

from edgeclient.cli.exit_codes import ExitCode
from edgeclient.cli.failure import Failure
from edgeclient.cli.settings import config_option, load_or_fail, set_option
from edgeclient.config.load import file_of, load
from edgeclient.config.schema import Config
from edgeclient.config.setting import SettingError
from edgeclient.config.source import Reread

_TICKS_PER_S = 100  # USER_HZ of Linux on every architecture that this runs on
_START_FIELD = 19  # of what follows the name of the program in /proc/self/stat


_EXAMPLES = """\b
Examples:
  DASHSCOPE_API_KEY=sk-... edgeclient serve
  edgeclient serve --config node.toml --set log.level=debug
  edgeclient config example > node.toml
"""


@click.command(epilog=_EXAMPLES)
@config_option
@set_option
def serve(file: Path | None, overrides: dict[str, str]) -> None:
    """Run the daemon.

    It takes calls on ingress.listen and answers them through upstream.base_url with the key from DASHSCOPE_API_KEY or
    upstream.api_key_file. SIGTERM or Ctrl-C drains it: no new calls, running ones are finished; a second one ends it at
    once. SIGHUP, or a change of the file, takes over what needs no restart; the log tells what does. It logs to stderr;
    metrics are at admin.listen.
    """
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until it can be heeded; it asks for a reload and must not kill
    config = load_or_fail(file, overrides).config
    reread = Reread(
        file=file_of(file, os.environ), load=lambda: load(file=file, environ=os.environ, overrides=overrides)
    )
    try:
        _run(config, reread)
    except SettingError as error:
        details = [f"{number}. {problem}" for number, problem in enumerate(error.problems, start=1)]
        raise Failure(ExitCode.CONFIG, "the daemon cannot start:", details=details) from error
    except KeyboardInterrupt:  # the second Ctrl-C
        raise Failure(ExitCode.INTERRUPTED, "ended at once; running calls were cut off") from None


def _run(config: Config, reread: Reread) -> None:
    import uvloop  # noqa: PLC0415  other commands should not wait for it

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner, contextlib.suppress(asyncio.CancelledError):
        runner.run(_serve(config, reread))
        return
    raise KeyboardInterrupt  # a second signal cancelled it


async def _serve(config: Config, reread: Reread) -> None:
    with _hidden("rich", "pygments"):
        from edgeclient.app import build  # noqa: PLC0415  the parts take a moment to import
        from edgeclient.runtime import SystemClock, run  # noqa: PLC0415
        from edgeclient.telemetry.library_logs import library_logs  # noqa: PLC0415

    clock = SystemClock()
    app = build(config, clock=clock, stderr=sys.stderr.buffer, age_s=_age_s(), reread=reread)
    gc.collect()
    gc.freeze()  # what was made until now stays; collecting it again and again costs a tenth of a call's CPU
    with library_logs(app.logs, clock=clock):
        await run(app.daemon, clock=clock, observe=app.observe)


@contextlib.contextmanager
def _hidden(*packages: str) -> Iterator[None]:
    """What is imported in this block does not find these.

    Libraries look for them, to paint on terminals; where another tool has brought them, that is 5 MB for nothing.
    """
    hidden = [name for name in packages if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]  # as Python says that there is none
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


def _age_s() -> float:
    """How long this process has existed; 0 where that cannot be known."""
    try:
        facts = Path("/proc/self/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - int(facts[_START_FIELD]) / _TICKS_PER_S)
    except (OSError, ValueError, IndexError):
        return 0.0
