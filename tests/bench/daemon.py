"""The daemon as users run it: `edgeclient serve` with its defaults, told only where to listen and whom to ask.

One limit is raised: upstream.max_in_flight is 100 by default, and with 200 callers half of each call would be waiting.
And one package is hidden: structlog imports rich where it finds it, 35 ms and 3 MB, and here it finds it only because a
tool of this repository brings it.
"""

import socket
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from bench.process import Process

AS_INSTALLED = "import sys; sys.modules['rich'] = None; "


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def daemon(
    cloud: Mapping[str, Any],
    address: str,
    *,
    cores: Collection[int],
    log: Path,
    settings: Mapping[str, str] = MappingProxyType({}),
    tables: Path | None = None,
) -> Process:
    """Start it; it listens some time later.

    Args:
        cloud: What the cloud said of itself.
        address: Where to listen.
        cores: Where to run.
        log: Its log.
        settings: Further ones, or others.
        tables: A configuration file, for what is no single setting: callers, prices.
    """
    usual = {
        "ingress.listen": address,
        "admin.listen": f"127.0.0.1:{free_port()}",
        "upstream.base_url": base_url(cloud),
        "upstream.ca_file": cloud["ca_file"],
        "upstream.proxy": "none",
        "upstream.max_in_flight": "256",
    }
    flags = [part for name, value in (usual | dict(settings)).items() for part in ("--set", f"{name}={value}")]
    if tables is not None:
        flags += ["--config", str(tables)]
    program = f"{AS_INSTALLED}from edgeclient.__main__ import main; main()"
    command = [sys.executable, "-c", program, "serve", *flags]
    return Process(command, cores=cores, log=log, environ={"DASHSCOPE_API_KEY": "sk-bench"})


def base_url(cloud: Mapping[str, Any]) -> str:
    """The endpoint of a cloud."""
    return f"https://127.0.0.1:{cloud['port']}/compatible-mode/v1"
