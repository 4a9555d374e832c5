"""What a person gets wrong, and what the cluster says to it: one clear message each, in the place where one looks."""

from collections.abc import Callable
from dataclasses import dataclass

from cluster.overlays import DEPLOY, NAMESPACE, PROMISES, Promise
from cluster.plane import ControlPlane
from cluster.trial import installed, label, refusals
from cluster.wait import until

_JETSON = next(promise for promise in PROMISES if promise.name == "jetson")
_RESTRICTED = next(promise for promise in PROMISES if promise.name == "restricted")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """Something that is wrong.

    Attributes:
        name: As in the table.
        shown: Where one looks.
        made: Makes the mistake and returns what is said there; raises TimeoutError if nothing is.
        wanted: Words that have to be in it.
    """

    name: str
    shown: str
    made: Callable[[ControlPlane], str]
    wanted: tuple[str, ...]


def _misspelt(plane: ControlPlane) -> str:
    manifest = (DEPLOY / "edgeclient.yaml").read_text(encoding="utf-8")
    wrong = manifest.replace("terminationGracePeriodSeconds", "terminationGracePeriod")
    plane.kubectl("create", "namespace", NAMESPACE)
    try:
        done = plane.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", text=wrong)
        return done.stderr if done.returncode else ""
    finally:
        plane.kubectl("delete", "namespace", NAMESPACE, "--wait=true")


def _without_label(plane: ControlPlane) -> str:
    """A DaemonSet without a node writes no event at all, so its own columns are the place."""
    label(plane, taken_away=True)
    try:
        with installed(plane, _JETSON):
            row = ("get", "daemonset", "edgeclient", "-n", NAMESPACE)
            return until(lambda: _settled_row(plane, row), what="the DaemonSet to be looked at")
    finally:
        label(plane)


def _settled_row(plane: ControlPlane, row: tuple[str, ...]) -> str:
    seen = plane.kubectl(*row, "-o", "jsonpath={.status.observedGeneration}").stdout
    return plane.kubectl(*row).stdout if seen else ""


def _set_without_label(plane: ControlPlane) -> str:
    label(plane, taken_away=True)
    try:
        with installed(plane, _RESTRICTED):
            return until(lambda: _events(plane, "FailedScheduling"), what="an event of the scheduler")
    finally:
        label(plane)


def _without_volumes(plane: ControlPlane) -> str:
    with installed(plane, Promise(name="no volumes", arguments=_RESTRICTED.arguments, level="restricted")):
        return until(lambda: _events(plane, "FailedScheduling"), what="an event of the scheduler")


def _enforced(plane: ControlPlane) -> str:
    """Somebody hardens the namespace: the pods that are there stay, and the next one is refused."""
    with installed(plane, _JETSON):
        plane.kubectl("label", "namespace", NAMESPACE, "--overwrite", "pod-security.kubernetes.io/enforce=restricted")
        plane.kubectl("-n", NAMESPACE, "delete", "pods", "--all", "--wait=false")
        return until(lambda: "\n".join(refusals(plane, NAMESPACE)), what="an event of Pod Security")


def _events(plane: ControlPlane, reason: str) -> str:
    events = plane.items(f"/api/v1/namespaces/{NAMESPACE}/events")
    return "\n".join(sorted({event["message"] for event in events if event["reason"] == reason}))


MISTAKES = (
    Mistake(name="a misspelt field", shown="kubectl apply", made=_misspelt, wanted=('unknown field "spec.template.',)),
    Mistake(
        name="no node has the label, a DaemonSet",
        shown="kubectl get daemonset",
        made=_without_label,
        wanted=("DESIRED", "NODE SELECTOR", "edgeclient/jetson=true"),
    ),
    Mistake(
        name="no node has the label, a StatefulSet",
        shown="events of the pod",
        made=_set_without_label,
        wanted=("0/6 nodes are available", "node affinity/selector"),
    ),
    Mistake(
        name="no volume on the nodes",
        shown="events of the pod",
        made=_without_volumes,
        wanted=("0/6 nodes are available", "didn't find available persistent volumes to bind"),
    ),
    Mistake(
        name="a hostPath where restricted is enforced",
        shown="events of the DaemonSet",
        made=_enforced,
        wanted=("violates PodSecurity", "hostPath"),
    ),
)
