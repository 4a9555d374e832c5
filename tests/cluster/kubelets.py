"""The kubelets of the six nodes, played: pods that are bound run at once, and pods that shall end are gone at once.

What a kubelet alone finds out (a Secret that is missing, an image that cannot be pulled, a folder that is not writable)
is not played: a played answer would prove nothing.
"""

import json
import threading
from types import TracebackType
from typing import Any, Self

import httpx
from cluster.nodes import MACHINES, node, status
from cluster.plane import ControlPlane
from cluster.wait import until

_PATCH = {"content-type": "application/strategic-merge-patch+json"}


class Kubelets:
    """`with Kubelets(plane):` the six nodes are there, ready, and run what is bound to them.

    Attributes:
        failed: What went wrong while playing; a run is worth nothing if there is something.
    """

    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane
        self._thread = threading.Thread(target=self._play, name="kubelets", daemon=True)
        self._ended = threading.Event()
        self.failed: list[str] = []

    def __enter__(self) -> Self:
        with self._plane.client() as client:
            for machine in MACHINES:
                _register(client, node(machine), status(machine))
            until(lambda: _untainted(client), what="the six nodes to be taken as ready")
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()

    def _play(self) -> None:
        with self._plane.client() as client:
            while not self._ended.is_set():
                try:
                    self._watch(client)
                except httpx.TransportError as error:
                    if not self._ended.is_set():
                        self.failed.append(f"the watch of the pods ended: {error}")
                        return

    def _watch(self, client: httpx.Client) -> None:
        watched = {"watch": "1", "timeoutSeconds": "600"}
        with client.stream("GET", "/api/v1/pods", params=watched, timeout=None) as lines:
            for line in lines.iter_lines():
                if self._ended.is_set():
                    return
                _tend(client, json.loads(line)["object"])


def _register(client: httpx.Client, described: dict[str, Any], state: dict[str, Any]) -> None:
    name = described["metadata"]["name"]
    client.post("/api/v1/nodes", json=described).raise_for_status()
    path = f"/api/v1/nodes/{name}/status"
    client.patch(path, json={"status": state}, headers=_PATCH).raise_for_status()


def _untainted(client: httpx.Client) -> bool:
    """Whether the controllers have taken away the taint with which every new node begins."""
    nodes = client.get("/api/v1/nodes").raise_for_status().json()["items"]
    taints = [taint["key"] for each in nodes for taint in each["spec"].get("taints", ())]
    return not any(key.startswith("node.kubernetes.io/") for key in taints)


def _tend(client: httpx.Client, pod: dict[str, Any]) -> None:
    metadata, spec = pod["metadata"], pod["spec"]
    if not spec.get("nodeName"):
        return
    path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
    if "deletionTimestamp" in metadata:
        client.delete(path, params={"gracePeriodSeconds": "0"})
    elif pod["status"].get("phase") == "Pending":
        client.patch(f"{path}/status", json={"status": _runs(spec)}, headers=_PATCH)


def _runs(spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "phase": "Running",
        "conditions": [{"type": kind, "status": "True"} for kind in ("Initialized", "ContainersReady", "Ready")],
        "containerStatuses": [
            {
                "name": container["name"],
                "image": container["image"],
                "imageID": container["image"],
                "ready": True,
                "started": True,
                "restartCount": 0,
                "state": {"running": {}},
            }
            for container in spec["containers"]
        ],
    }
