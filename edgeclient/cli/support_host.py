"""What the box gives the daemon: processors, memory, disks, limits, temperature, and which release of Jetson it is.

Only files that everybody may read, and nothing of other processes but the daemon's own limits. What a box does not have
is left out: half of it exists on a Jetson only, and a container sees its own part.
"""

import os
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgeclient.cli.doctor_disk import folder_facts
from edgeclient.config.schema import Config

_MOST_BYTES = 16 * 1024
_FILES = (
    "/etc/os-release",
    "/etc/nv_tegra_release",
    "/proc/device-tree/model",
    "/proc/version",
    "/proc/loadavg",
    "/proc/uptime",
    "/proc/meminfo",
    "/proc/pressure/cpu",
    "/proc/pressure/io",
    "/proc/pressure/memory",
    "/proc/self/cgroup",
    "/sys/devices/system/cpu/online",
)
_CGROUP = (
    "cpu.max",
    "cpu.stat",
    "memory.max",
    "memory.high",
    "memory.current",
    "memory.peak",
    "memory.swap.max",
    "memory.events",
    "pids.max",
    "pids.current",
    "cpu/cpu.cfs_quota_us",  # and those of version 1, as the kernels of older Jetsons have them
    "cpu/cpu.cfs_period_us",
    "memory/memory.limit_in_bytes",
    "memory/memory.max_usage_in_bytes",
    "pids/pids.max",
)
_OF_THE_DAEMON = ("status", "limits", "cgroup", "oom_score_adj")
_THERMAL = "sys/class/thermal"


def host(config: Config | None, *, pid: str = "", root: Path = Path("/")) -> dict[str, Any]:
    """What was found.

    Args:
        config: Names the folders whose disks matter.
        pid: Of the daemon, if one runs here.
        root: Where the files of the system begin.
    """
    return {
        "uname": dict(zip(("system", "node", "release", "version", "machine"), os.uname(), strict=True)),
        "cpus": {"all": os.cpu_count(), "usable": len(os.sched_getaffinity(0))},
        "user": {"uid": os.geteuid(), "gid": os.getegid(), "groups": os.getgroups()},
        "most_open_files": resource.getrlimit(resource.RLIMIT_NOFILE),
        "files": {path: text for path in _FILES if (text := _text(root / path.lstrip("/")))},
        "cgroup": dict(_cgroup(root)),
        "thermal": list(_thermal(root)),
        "daemon": {name: text for name in _OF_THE_DAEMON if pid and (text := _text(root / "proc" / pid / name))},
        "folders": [_folder(Path(name)) for name in _folders(config)],
    }


def _folders(config: Config | None) -> list[str]:
    named = [config.spool.directory, config.cache.directory] if config is not None else []
    return [name for name in named if name] + ["/tmp"]  # noqa: S108  only its space is looked at


def _folder(directory: Path) -> dict[str, Any]:
    facts = folder_facts(directory)
    return {
        "path": str(directory),
        "exists": facts.exists,
        "obstacle": facts.obstacle,
        "filesystem": facts.filesystem,
        "free_bytes": facts.free_bytes,
        "database_bytes": facts.sizes.database_bytes,
        "ballast_bytes": facts.sizes.ballast_bytes,
    }


def _cgroup(root: Path) -> Iterator[tuple[str, str]]:
    """Of the own group, by version 2 or 1; in a container it is the root of what is mounted."""
    own = _text(root / "proc/self/cgroup").rpartition("::")[2].splitlines()[:1]
    base = root / "sys/fs/cgroup"
    for name in _CGROUP:
        for folder in (base / (own[0].lstrip("/") if own else ""), base):
            if text := _text(folder / name):
                yield name, text
                break


def _thermal(root: Path) -> Iterator[dict[str, str]]:
    for zone in sorted((root / _THERMAL).glob("thermal_zone*")):
        yield {"zone": zone.name, "type": _text(zone / "type"), "millidegrees": _text(zone / "temp")}


def _text(path: Path) -> str:
    """The content; "" if there is none that this user may read."""
    try:
        with path.open("rb") as file:
            return file.read(_MOST_BYTES).decode("utf-8", "replace").strip("\0 \n")
    except OSError:
        return ""
