"""Six nodes as a site might have them: three Jetsons, and three that are like one in everything but what counts.

Labels are those that k3s, Node Feature Discovery and NVIDIA's GPU feature discovery really set; none of them says
"Jetson", which is why the manifests ask for a label of their own, set by whoever joins the node.
"""

from dataclasses import dataclass, field
from typing import Any

GIB = 1024**3


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One node.

    Attributes:
        name: Of the node.
        is_jetson: Whether the README tells to label it.
        region: Where its operator says that it is; "" for nowhere.
        arch: As in kubernetes.io/arch.
        kernel: As `uname -r` says.
        system: As in /etc/os-release.
        kubelet: Its version.
        cpus: Cores.
        memory_gib: Memory.
        labels: Beyond those that every node has.
        gpus: Capacity of nvidia.com/gpu, where a device plugin runs.
        is_tainted: Keeps pods away that do not tolerate nvidia.com/gpu.
    """

    name: str
    is_jetson: bool
    arch: str
    kernel: str
    system: str
    kubelet: str
    cpus: int
    memory_gib: int
    labels: dict[str, str] = field(default_factory=dict)
    region: str = ""
    gpus: int = 0
    is_tainted: bool = False


MACHINES = (
    Machine(
        name="orin-nano",
        is_jetson=True,
        arch="arm64",
        kernel="5.15.148-tegra",
        system="Ubuntu 22.04.5 LTS",
        kubelet="v1.36.1+k3s1",
        cpus=6,
        memory_gib=8,
        labels={
            "node.kubernetes.io/instance-type": "k3s",
            "feature.node.kubernetes.io/kernel-version.full": "5.15.148-tegra",
            "nvidia.com/gpu.present": "true",
            "nvidia.com/gpu.product": "Orin",
            "nvidia.com/gpu.family": "ampere",
        },
        gpus=1,
    ),
    Machine(
        name="agx-orin",
        is_jetson=True,
        arch="arm64",
        kernel="5.15.148-tegra",
        system="Ubuntu 22.04.5 LTS",
        kubelet="v1.36.1+k3s1",
        cpus=12,
        memory_gib=64,
        labels={
            "node.kubernetes.io/instance-type": "k3s",
            "feature.node.kubernetes.io/kernel-version.full": "5.15.148-tegra",
        },
        gpus=1,
        is_tainted=True,
    ),
    Machine(
        name="nano-4gb",
        is_jetson=True,
        arch="arm64",
        kernel="4.9.337-tegra",
        system="Ubuntu 18.04.6 LTS",
        kubelet="v1.34.2+k3s1",
        cpus=4,
        memory_gib=4,
        labels={
            "node.kubernetes.io/instance-type": "k3s",
            "nvidia.com/gpu.product": "NVIDIA-Tegra-X1",
            "nvidia.com/gpu.family": "maxwell",
        },
        region="cn-beijing",
    ),
    Machine(
        name="grace-hopper",
        is_jetson=False,
        arch="arm64",
        kernel="6.8.0-1021-nvidia-64k",
        system="Ubuntu 24.04.3 LTS",
        kubelet="v1.36.1",
        cpus=72,
        memory_gib=480,
        labels={"nvidia.com/gpu.present": "true", "nvidia.com/gpu.product": "NVIDIA-GH200-480GB"},
        gpus=1,
    ),
    Machine(
        name="raspberry-pi-5",
        is_jetson=False,
        arch="arm64",
        kernel="6.12.47+rpt-rpi-2712",
        system="Debian GNU/Linux 12 (bookworm)",
        kubelet="v1.36.1+k3s1",
        cpus=4,
        memory_gib=8,
        labels={"node.kubernetes.io/instance-type": "k3s"},
        region="ap-southeast-1",
    ),
    Machine(
        name="a100",
        is_jetson=False,
        arch="amd64",
        kernel="6.8.0-87-generic",
        system="Ubuntu 24.04.3 LTS",
        kubelet="v1.36.1",
        cpus=64,
        memory_gib=512,
        labels={"nvidia.com/gpu.present": "true", "nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB"},
        gpus=8,
        region="us-east-1",
    ),
)
JETSONS = frozenset(machine.name for machine in MACHINES if machine.is_jetson)
ON_K3S = frozenset(machine.name for machine in MACHINES if machine.kubelet.endswith("k3s1"))
IN_REGIONS = frozenset(machine.name for machine in MACHINES if machine.region)


def node(machine: Machine) -> dict[str, Any]:
    """The node as its kubelet would register it; its status is written separately."""
    own = {"kubernetes.io/arch": machine.arch, "kubernetes.io/os": "linux", "kubernetes.io/hostname": machine.name}
    place = {"topology.kubernetes.io/region": machine.region} if machine.region else {}
    taints = [{"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}] if machine.is_tainted else []
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": machine.name, "labels": {**own, **place, **machine.labels}},
        "spec": {"taints": taints},
    }


def status(machine: Machine) -> dict[str, Any]:
    """What its kubelet would report."""
    room = {"cpu": str(machine.cpus), "memory": str(machine.memory_gib * GIB), "pods": "110"}
    room |= {"ephemeral-storage": str(20 * GIB)} | ({"nvidia.com/gpu": str(machine.gpus)} if machine.gpus else {})
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "kubelet is posting ready status"}
    return {
        "capacity": room,
        "allocatable": room,
        "conditions": [ready],
        "nodeInfo": {
            "architecture": machine.arch,
            "bootID": machine.name,
            "containerRuntimeVersion": "containerd://2.1.4",
            "kernelVersion": machine.kernel,
            "kubeProxyVersion": machine.kubelet,
            "kubeletVersion": machine.kubelet,
            "machineID": machine.name,
            "operatingSystem": "linux",
            "osImage": machine.system,
            "systemUUID": machine.name,
        },
    }
