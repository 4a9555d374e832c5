"""One way to install, tried: applied as a person applies it, looked at until it has settled, and taken away again."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cluster.nodes import JETSONS
from cluster.overlays import DEPLOY, LABEL, NAMESPACE, Promise
from cluster.plane import ControlPlane
from cluster.wait import until

_SETTLED_S = 30.0
_STRICT = "--validate=strict"  # an unknown or doubled field is an error, and it is the server that looks
_REFUSED = "violates PodSecurity"
_ENFORCED = "pod-security.kubernetes.io/enforce"
_VOLUME = "edgeclient-"  # and the name of its node, as the example names them
_OF_ADD_ONS = ("no matches for kind", "kind not set")
_WORKLOADS = ("daemonsets", "deployments", "statefulsets")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What came of it.

    Attributes:
        objects: Lines of kubectl, one for each object that was accepted.
        level: What the namespace enforces.
        pods: The node of each pod that runs; a pod without one is "".
        refused: What Pod Security said to the pods that it did not admit.
        volumes: The node of each claim that is bound, by the pod's node.
        problems: What is not as promised; empty: all is.
    """

    objects: int
    level: str
    pods: tuple[str, ...]
    refused: tuple[str, ...]
    volumes: int
    problems: tuple[str, ...]


def tried(plane: ControlPlane, promise: Promise) -> Seen:
    """Apply it, wait until it is as promised or has had its time, look, and take it away."""
    with installed(plane, promise) as (said, complaint):
        if complaint:
            return Seen(objects=0, level="", pods=(), refused=(), volumes=0, problems=(complaint,))
        with contextlib.suppress(TimeoutError):
            until(lambda: not _problems(plane, promise), what=promise.name, within_s=_SETTLED_S)
        return Seen(
            objects=len(said.splitlines()),
            level=_level(plane, promise.namespace),
            pods=tuple(sorted(_nodes_of(plane, promise.namespace))),
            refused=refusals(plane, promise.namespace),
            volumes=len(_bound(plane, promise.namespace)),
            problems=_problems(plane, promise),
        )


@contextlib.contextmanager
def installed(plane: ControlPlane, promise: Promise) -> Iterator[tuple[str, str]]:
    """What kubectl said of each object, and its complaint if it refused; what was applied is gone after the block."""
    if promise.volumes:
        plane.kubectl("apply", "-f", "-", text=_volumes())
    done = plane.kubectl("apply", _STRICT, *promise.arguments)
    try:
        yield done.stdout, done.stderr.strip() if done.returncode else ""
    finally:
        plane.kubectl("delete", "--ignore-not-found", "--wait=true", *promise.arguments)
        plane.kubectl("delete", "namespace", promise.namespace, "--ignore-not-found", "--wait=true")
        plane.kubectl("delete", "persistentvolumes", "--all", "--wait=true")


def extras(plane: ControlPlane) -> tuple[list[str], list[str]]:
    """Which of `deploy/extras` the server takes, and what it says of those that it does not.

    What belongs to an add-on (a kind that this server does not have) and what is no manifest is in neither.
    """
    taken, refused = [], []
    plane.kubectl("create", "namespace", NAMESPACE)
    try:
        for file in sorted((DEPLOY / "extras").glob("*.yaml")):
            done = plane.kubectl("apply", "--dry-run=server", _STRICT, "-f", str(file))
            if not done.returncode:
                taken.append(file.name)
            elif not any(word in done.stderr for word in _OF_ADD_ONS):
                refused.append(f"extras/{file.name}: {done.stderr.strip()}")
    finally:
        plane.kubectl("delete", "namespace", NAMESPACE, "--wait=true")
    return taken, refused


def label(plane: ControlPlane, *, taken_away: bool = False) -> None:
    """Mark the Jetsons, as the README says, or take the marks away.

    Raises:
        RuntimeError: kubectl refused.
    """
    wanted = LABEL.partition("=")[0] + "-" if taken_away else LABEL
    done = plane.kubectl("label", "node", "--overwrite", *sorted(JETSONS), wanted)
    if done.returncode:
        raise RuntimeError(f"the nodes cannot be labelled: {done.stderr}")


def refusals(plane: ControlPlane, namespace: str) -> tuple[str, ...]:
    """The messages of Pod Security about pods of the namespace, each once."""
    events = plane.items(f"/api/v1/namespaces/{namespace}/events")
    return tuple(sorted({event["message"] for event in events if _REFUSED in event["message"]}))


def _problems(plane: ControlPlane, promise: Promise) -> tuple[str, ...]:
    nodes = _nodes_of(plane, promise.namespace)
    level = _level(plane, promise.namespace)
    bound = _bound(plane, promise.namespace)
    checks = {
        f"the namespace enforces {level!r}, not {promise.level!r}": level == promise.level,
        f"{len(nodes)} pods, not {promise.count}": len(nodes) == promise.count,
        f"pods on {sorted(nodes)}, not on {sorted(promise.nodes)}": set(nodes) == promise.nodes or not promise.nodes,
        "a pod has no node": "" not in nodes,
        f"{len(bound)} volumes are bound, not {promise.volumes}": len(bound) == promise.volumes,
        f"volumes on {bound}, not on {sorted(nodes)}": not promise.volumes or sorted(bound) == sorted(nodes),
    }
    wanting = [text for text, holds in checks.items() if not holds]
    return (*wanting, *refusals(plane, promise.namespace), *_unsettled(plane, promise.namespace))


def _unsettled(plane: ControlPlane, namespace: str) -> list[str]:
    """Workloads whose controller has not looked at them yet, or that want more pods than are ready."""
    found = []
    for kind in _WORKLOADS:
        for workload in plane.items(f"/apis/apps/v1/namespaces/{namespace}/{kind}"):
            wanted, ready = _wanted_and_ready(workload)
            seen = workload["status"].get("observedGeneration") == workload["metadata"]["generation"]
            if not seen or wanted != ready:
                found.append(f"{kind}/{workload['metadata']['name']}: {ready} of {wanted} pods are ready")
    return found


def _wanted_and_ready(workload: dict[str, Any]) -> tuple[int, int]:
    status = workload["status"]
    wanted = workload["spec"].get("replicas", status.get("desiredNumberScheduled", 0))
    return wanted, status.get("readyReplicas", status.get("numberReady", 0))


def _nodes_of(plane: ControlPlane, namespace: str) -> list[str]:
    return [pod["spec"].get("nodeName", "") for pod in plane.items(f"/api/v1/namespaces/{namespace}/pods")]


def _level(plane: ControlPlane, namespace: str) -> str:
    namespaces = {each["metadata"]["name"]: each["metadata"] for each in plane.items("/api/v1/namespaces")}
    return str(namespaces.get(namespace, {}).get("labels", {}).get(_ENFORCED, ""))


def _bound(plane: ControlPlane, namespace: str) -> list[str]:
    """The nodes of the volumes that are bound."""
    claims = plane.items(f"/api/v1/namespaces/{namespace}/persistentvolumeclaims")
    names = {claim["spec"].get("volumeName", "") for claim in claims if claim["status"].get("phase") == "Bound"}
    return [name.removeprefix(_VOLUME) for name in names]


def _volumes() -> str:
    """The volumes of the example, one for each Jetson, as its comment tells to make them."""
    example = (DEPLOY / "extras" / "local-volumes.example.yaml").read_text(encoding="utf-8")
    return "\n---\n".join(example.replace("jetson-1", name) for name in sorted(JETSONS))
