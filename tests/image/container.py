"""A container of the image that runs: its output read line by line, its health asked, ended by a signal."""

import contextlib
import json
import subprocess
import threading
import uuid
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

from image.engine import Engine

GUARD_S = 60.0


class Container:
    """`with Container(engine, image, "--volume=...") as container`; it is gone afterwards, whatever happens.

    Args:
        engine: Who runs it.
        image: What is run.
        options: Of `podman run`.
        arguments: Of the entry point; none: those of the image.

    Attributes:
        lines: All that it wrote, so far as it was waited for.
    """

    def __init__(self, engine: Engine, image: str, *options: str, arguments: tuple[str, ...] = ()) -> None:
        self._engine = engine
        self._name = f"edgeclient-{uuid.uuid4().hex[:12]}"
        self._command = engine.run_command(image, f"--name={self._name}", *options, arguments=arguments)
        self._process: subprocess.Popen[str]
        self.lines: list[str] = []

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._podman("rm", "--force", "--ignore", "--time=0", self._name)
        with self._process:
            self._process.wait(GUARD_S)

    def says(self, word: str) -> dict[str, Any]:
        """The first line of its log with this event; fails with all that it wrote if it ends without."""
        assert self._process.stdout is not None
        with self._guarded():
            for line in self._process.stdout:
                self.lines.append(line)
                if line.startswith("{") and (fact := json.loads(line))["event"] == word:
                    return dict(fact)
        raise AssertionError(f"it ended without saying {word}:\n{''.join(self.lines)}")

    def health(self) -> tuple[int, str]:
        """What the HEALTHCHECK of the image finds: its code, and what it wrote."""
        done = self._podman("healthcheck", "run", self._name)
        log = json.loads(self._podman("inspect", "--format={{json .State.Healthcheck.Log}}", self._name).stdout or "[]")
        return done.returncode, log[-1]["Output"] if log else done.stdout + done.stderr

    def status(self, prefix: str) -> list[str]:
        """The lines of /proc/1/status that begin so, as it sees them itself."""
        done = self._podman("exec", self._name, "grep", f"^{prefix}", "/proc/1/status")
        return [line.partition(":")[2].strip() for line in done.stdout.splitlines()]

    def processes(self) -> list[tuple[str, str]]:
        """State and command of each process inside; 1 comes first."""
        done = self._podman("top", self._name, "state", "args")
        rows = [line.split(None, 1) for line in done.stdout.splitlines()[1:]]
        return [(row[0], row[1]) for row in rows]

    def signal(self, name: str) -> None:
        """Send a signal to its process 1."""
        self._podman("kill", f"--signal={name}", self._name)

    def code(self) -> int:
        """The exit code, once it has ended by itself; what it wrote is in `lines`."""
        assert self._process.stdout is not None
        with self._guarded():
            self.lines += list(self._process.stdout)
            return self._process.wait(GUARD_S)

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        """It is killed if it takes too long, so that who reads what it writes comes to an end."""
        guard = threading.Timer(GUARD_S, self._podman, ("rm", "--force", "--time=0", self._name))
        guard.start()
        try:
            yield
        finally:
            guard.cancel()

    def _podman(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        command = self._engine.command(*arguments)
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=GUARD_S)
