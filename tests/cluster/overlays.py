"""What `deploy/` and each of its overlays promises on the six nodes."""

from dataclasses import dataclass
from pathlib import Path

from cluster.nodes import IN_REGIONS, JETSONS, ON_K3S

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
NAMESPACE = "edgeclient"
LABEL = "edgeclient/jetson=true"
"""The label of our own, as the README tells to set it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """One way to install, and what comes of it.

    Attributes:
        name: As in the table.
        arguments: Of `kubectl apply`.
        level: Of Pod Security, as the namespace enforces it.
        nodes: Exactly these have a pod; empty: any may.
        pods: How many there are; 0: one on each of `nodes`.
        volumes: Volumes that are claimed and bound, each on the node of its pod.
        namespace: Where the pods are.
    """

    name: str
    arguments: tuple[str, ...]
    level: str
    nodes: frozenset[str] = frozenset()
    pods: int = 0
    volumes: int = 0
    namespace: str = NAMESPACE

    @property
    def count(self) -> int:
        """How many pods run in the end."""
        return self.pods or len(self.nodes)


def _overlay(name: str) -> tuple[str, ...]:
    return ("-k", str(DEPLOY / "overlays" / name))


PROMISES = (
    Promise(name="apply -f deploy/", arguments=("-f", f"{DEPLOY}/"), level="privileged", nodes=JETSONS),
    Promise(name="apply -k deploy/", arguments=("-k", str(DEPLOY)), level="privileged", nodes=JETSONS),
    Promise(name="jetson", arguments=_overlay("jetson"), level="privileged", nodes=JETSONS),
    Promise(name="restricted", arguments=_overlay("restricted"), level="restricted", nodes=JETSONS, volumes=3),
    Promise(name="k3s", arguments=_overlay("k3s"), level="privileged", nodes=ON_K3S),
    Promise(name="local-model", arguments=_overlay("local-model"), level="privileged", nodes=JETSONS),
    Promise(name="regions", arguments=_overlay("regions"), level="privileged", nodes=IN_REGIONS),
    Promise(name="gateway", arguments=_overlay("gateway"), level="restricted", pods=2),
    Promise(name="dev", arguments=_overlay("dev"), level="restricted", pods=1, namespace="edgeclient-dev"),
)


def without_promise() -> list[str]:
    """Overlays that are in the folder and not in the table."""
    known = {promise.arguments for promise in PROMISES}
    folders = sorted(path.name for path in (DEPLOY / "overlays").iterdir() if path.is_dir())
    return [name for name in folders if _overlay(name) not in known]
