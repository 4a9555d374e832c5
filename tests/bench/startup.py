"""How long until the daemon works: imports, and from exec to the first answer.

Files are in the page cache and byte code is on disk, as on a box that restarts a service; any core may be used.
"""

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.daemon import AS_INSTALLED, daemon, free_port
from bench.figures import median
from bench.process import ALL_CORES, Process
from bench.results import Startup

_WHAT_SERVE_IMPORTS = f"{AS_INSTALLED}import edgeclient.cli.main, edgeclient.cli.serve, uvloop, edgeclient.app"
_HEAVIEST = 8
_STANDARD = sys.stdlib_module_names


def startup(cloud: dict[str, Any], callers: Process, *, log: Path, times: int, tell: Callable[[str], None]) -> Startup:
    """Start the daemon so many times."""
    tell("imports and cold start")
    listening_s, answered_s = [], []
    for number in range(times + 1):
        address = f"127.0.0.1:{free_port()}"
        with daemon(cloud, address, cores=ALL_CORES, log=log) as started:
            seen = callers.order("first", address=address)
            if number:  # the first one fills the page cache and writes byte code
                listening_s.append(seen["listening_s"] - started.begun_s)
                answered_s.append(seen["answered_s"] - started.begun_s)
    return Startup(
        listening_s=median(listening_s),
        answered_s=median(answered_s),
        python_s=median([_python_s("pass") for _ in range(times)]),
        import_s=median([_python_s(_WHAT_SERVE_IMPORTS) for _ in range(times)]),
        heaviest=_heaviest(),
    )


def _python_s(code: str) -> float:
    begun_s = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - begun_s


def _heaviest() -> list[tuple[str, float]]:
    """Milliseconds by package, each module counted where it belongs and not with who imported it."""
    command = [sys.executable, "-X", "importtime", "-c", _WHAT_SERVE_IMPORTS]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stderr.splitlines()
    own_us: Counter[str] = Counter()
    for line in lines[1:]:
        microseconds, _, name = line.removeprefix("import time:").split("|")
        package = name.strip().partition(".")[0]
        group = "standard library" if package.lstrip("_") in _STANDARD or package in _STANDARD else package
        own_us[group] += int(microseconds)
    return [(name, microseconds / 1000) for name, microseconds in own_us.most_common(_HEAVIEST)]
