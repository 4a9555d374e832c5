"""The daemon of the demo: `edgeclient serve` as a process, and where it listens.

Its log is read until it says that it takes calls; ports may be chosen by the system, so the log is where they are told.
"""

import asyncio
import json
import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from edgeclient.cli.exit_codes import ExitCode
from edgeclient.cli.failure import Failure

_READY_S = 20.0
_END_S = 10.0


class DemoDaemon:
    """A running daemon.

    Args:
        settings: Values by path, for `--set`.
        environment: Of the process.

    Attributes:
        address: Of the port for devices.
        admin: Of the admin port.
    """

    def __init__(self, settings: Mapping[str, str], environment: Mapping[str, str]) -> None:
        self._settings = {**settings, "log.format": "json"}
        self._environment = dict(environment)
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._said: list[str] = []
        self.address = ""
        self.admin = ""

    async def __aenter__(self) -> Self:
        """Start it and wait until it takes calls."""
        arguments = [part for path, value in self._settings.items() for part in ("--set", f"{path}={value}")]
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "edgeclient",
            "serve",
            *arguments,
            env=self._environment,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the demo, which ends the daemon in order
        )
        try:
            async with asyncio.timeout(_READY_S):
                await self._wait_until_ready(self._process)
        except BaseException:
            await self._end()
            raise
        self._reader = asyncio.create_task(self._follow(self._process), name="log of the demo's daemon")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Drain it and wait for its end."""
        await self._end()
        if self._reader is not None:
            await self._reader

    async def ended(self) -> None:
        """Return when the process has ended by itself."""
        if self._process is not None:
            await self._process.wait()

    async def _end(self) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            async with asyncio.timeout(_END_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    async def _wait_until_ready(self, process: asyncio.subprocess.Process) -> None:
        while line := await _line(process):
            fact = _fact(line)
            if fact.get("event") == "node_started":
                self.address, self.admin = str(fact["listen"]), str(fact["admin"])
                return
            self._said.append(line)
        details = [line.strip() for line in self._said] or ["it said nothing"]
        raise Failure(ExitCode.CONFIG, "the daemon did not start:", details=details)

    async def _follow(self, process: asyncio.subprocess.Process) -> None:
        """Show what the daemon has to say from warnings upwards."""
        while line := await _line(process):
            fact = _fact(line)
            if fact.get("level") in ("warning", "error", "critical"):
                sys.stderr.write(f"   daemon: {fact.get('message', line)}\n")


async def _line(process: asyncio.subprocess.Process) -> str:
    return "" if process.stderr is None else (await process.stderr.readline()).decode(errors="replace")


def _fact(line: str) -> dict[str, Any]:
    try:
        fact = json.loads(line)
    except ValueError:
        return {}
    return fact if isinstance(fact, dict) else {}
