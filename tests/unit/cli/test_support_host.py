"""What the box has, told from the files that it has."""

from pathlib import Path

import builders

from edgeclient.cli.support_host import host


def box(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_jetson_tells_its_release_and_its_temperature(tmp_path: Path) -> None:
    root = box(
        tmp_path,
        etc__nv_tegra_release="# R36 (release), REVISION: 4.0\n",
        sys__class__thermal__thermal_zone0__type="cpu-thermal\n",
        sys__class__thermal__thermal_zone0__temp="48500\n",
    )

    found = host(None, root=root)

    assert {"/etc/nv_tegra_release": "# R36 (release), REVISION: 4.0"} == found["files"]
    assert [{"zone": "thermal_zone0", "type": "cpu-thermal", "millidegrees": "48500"}] == found["thermal"]


def test_limits_are_those_of_the_own_group_or_of_what_is_mounted(tmp_path: Path) -> None:
    root = box(tmp_path, proc__self__cgroup="0::/system.slice/edgeclient.service\n")
    own = root / "sys/fs/cgroup/system.slice/edgeclient.service"
    own.mkdir(parents=True)
    (own / "memory.max").write_text("134217728\n")
    (root / "sys/fs/cgroup/memory.max").write_text("max\n")
    (root / "sys/fs/cgroup/cpu.max").write_text("50000 100000\n")

    assert {"memory.max": "134217728", "cpu.max": "50000 100000"} == host(None, root=root)["cgroup"]


def test_daemon_that_runs_tells_its_limits(tmp_path: Path) -> None:
    root = box(tmp_path, proc__77__status="VmRSS: 72000 kB\n", proc__77__environ="DASHSCOPE_API_KEY=sk-1")

    assert {"status": "VmRSS: 72000 kB"} == host(None, pid="77", root=root)["daemon"]
    assert {} == host(None, root=root)["daemon"]


def test_folders_are_those_of_the_settings(tmp_path: Path) -> None:
    config = builders.config(spool={"directory": str(tmp_path / "spool")}, cache={"directory": str(tmp_path)})

    spool, cache, _ = host(config)["folders"]

    assert (str(tmp_path / "spool"), False) == (spool["path"], spool["exists"])
    assert (str(tmp_path), True) == (cache["path"], cache["exists"])
    assert cache["free_bytes"] > 0
