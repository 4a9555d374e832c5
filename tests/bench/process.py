"""The processes of a measurement: started, pinned, read from outside, ended.

CPU is the kernel's clock of the whole process, threads that have ended included, to the nanosecond; the counters in
/proc go by ticks of 10 ms, too coarse for a call at a time. Subjects share one core and everything else has the others,
so that a subject is never slowed down by those who measure it. With a single core nothing is pinned.
"""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Self

TESTS = Path(__file__).resolve().parents[1]
_END_WITHIN_S = 10.0
_CORES = sorted(os.sched_getaffinity(0))
SUBJECT_CORES = frozenset(_CORES[:1])
OTHER_CORES = frozenset(_CORES[1:] or _CORES)
ALL_CORES = frozenset(_CORES)
_CPUCLOCK_SCHED = 2  # what clock_getcpuclockid(3) makes of a process


class Process:
    """A process of this measurement; `with` it.

    Args:
        command: What to run.
        cores: Where.
        log: File for what it writes to standard error.
        environ: Variables beside those of this process.
    """

    def __init__(
        self, command: Sequence[str], *, cores: Collection[int], log: Path, environ: dict[str, str] | None = None
    ) -> None:
        self._log = log
        self.begun_s = time.monotonic()
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=_environ() | (environ or {}),
                start_new_session=True,  # Ctrl-C is for the one who measures; `with` ends the others
            )
        os.sched_setaffinity(self._process.pid, cores)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End it: by the end of its input, by SIGTERM, by SIGKILL."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_END_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @property
    def cpu_s(self) -> float:
        """User and system time of all its threads since its start."""
        return time.clock_gettime(~self._process.pid << 3 | _CPUCLOCK_SCHED)

    @property
    def core_wait_s(self) -> float:
        """How long its main thread was ready to run and did not, because others had the core; 0 if nobody counts."""
        try:
            return int(Path(f"/proc/{self._process.pid}/schedstat").read_text(encoding="ascii").split()[1]) / 1e9
        except FileNotFoundError:
            return 0.0

    @property
    def rss_mb(self) -> float:
        """Resident memory now."""
        status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="ascii", errors="replace")
        [kib] = [line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:")]
        return int(kib) / 1024

    def hear(self, *, within_s: float = 20.0) -> dict[str, Any]:
        """Its next line.

        Raises:
            RuntimeError: It does not come.
        """
        out = self._process.stdout
        assert out is not None
        if select.select([out], [], [], within_s)[0] and (line := out.readline()):
            return dict(json.loads(line))
        raise self.silent(f"said nothing for {within_s:g} s")

    def order(self, do: str, *, within_s: float = 120.0, **arguments: object) -> dict[str, Any]:
        """Give an order to a role and wait for what it says."""
        self.tell(do, **arguments)
        return self.hear(within_s=within_s)

    def tell(self, do: str, **arguments: object) -> None:
        """Give an order to a role."""
        into = self._process.stdin
        assert into is not None
        into.write(json.dumps({"do": do} | arguments).encode() + b"\n")
        into.flush()

    def silent(self, what: str) -> RuntimeError:
        """The error that it does not do what it should, with the end of its log."""
        log = self._log.read_text(errors="replace")[-2000:]
        return RuntimeError(f"{self._process.args!r} {what}; its log ends:\n{log}")


def role(name: str, *arguments: str, cores: Collection[int], log: Path) -> Process:
    """Start a module of this folder as a role; see `role.py`."""
    return Process([sys.executable, "-m", f"bench.{name}", *arguments], cores=cores, log=log)


def _environ() -> dict[str, str]:
    """This environment with the modules of this folder, byte code on disk as installed, and nobody's settings."""
    ours = {key: value for key, value in os.environ.items() if not key.startswith(("EDGECLIENT_", "GRPC_"))}
    ours.pop("PYTHONDONTWRITEBYTECODE", None)
    return ours | {"PYTHONPATH": str(TESTS)}
