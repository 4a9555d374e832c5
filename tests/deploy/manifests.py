"""The manifests as a cluster gets them, for tests: rendered, parsed, and with ways to what they hold."""

import json
import shutil
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
DEFAULT = "jetson"
OVERLAYS = sorted(folder.name for folder in (DEPLOY / "overlays").iterdir())
WORKLOADS = ("DaemonSet", "Deployment", "StatefulSet")

Manifest = dict[str, Any]


def render(folder: Path) -> str:
    """What `kubectl apply -k` would send; skips the test where nothing can render."""
    for program, arguments in (("kustomize", ["build"]), ("kubectl", ["kustomize"])):
        if found := shutil.which(program):
            done = subprocess.run([found, *arguments, folder], capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            return done.stdout
    pytest.skip("neither kustomize nor kubectl is installed", allow_module_level=True)


def parse(text: str) -> list[Manifest]:
    """The objects of a stream of YAML."""
    return [manifest for manifest in yaml.safe_load_all(text) if manifest]


@cache
def _overlay(name: str) -> str:
    return render(DEPLOY / "overlays" / name)


def overlay(name: str) -> list[Manifest]:
    """The objects of an overlay."""
    return parse(_overlay(name))


def extra(name: str) -> list[Manifest]:
    """The objects of a file of deploy/extras."""
    return parse((DEPLOY / "extras" / name).read_text())


def queries() -> list[str]:
    """What the alerts and the dashboard ask Prometheus for."""
    panels = json.loads((DEPLOY / "extras" / "dashboard.json").read_text())["panels"]
    groups = extra("alerts.yaml")[0]["spec"]["groups"]
    asked = [*(panel["targets"] for panel in panels), *(group["rules"] for group in groups)]
    return [each["expr"] for row in asked for each in row]


def of_kind(manifests: list[Manifest], *kinds: str) -> list[Manifest]:
    """Those of a kind."""
    return [manifest for manifest in manifests if manifest["kind"] in kinds]


def workloads(manifests: list[Manifest]) -> list[Manifest]:
    """Those that make pods."""
    return of_kind(manifests, *WORKLOADS)


def pod_of(workload: Manifest) -> Manifest:
    """The specification of its pods."""
    pod: Manifest = workload["spec"]["template"]["spec"]
    return pod


def containers(pod: Manifest) -> list[Manifest]:
    """All of a pod, those that run first included."""
    return [*pod.get("initContainers", []), *pod["containers"]]


def daemon_of(pod: Manifest) -> Manifest:
    """The container that is the daemon."""
    daemon: Manifest
    (daemon,) = [container for container in pod["containers"] if container["name"] == "edgeclient"]
    return daemon


def toml_of(manifests: list[Manifest], pod: Manifest) -> str:
    """The configuration file that the daemon of a pod finds at its default place."""
    (volume,) = [volume for volume in pod["volumes"] if volume["name"] == "config"]
    (config,) = [
        each for each in of_kind(manifests, "ConfigMap") if each["metadata"]["name"] == volume["configMap"]["name"]
    ]
    text: str = config["data"]["edgeclient.toml"]
    return text


def variables(container: Manifest) -> dict[str, str]:
    """Its environment; what the cluster fills in is a word."""
    return {each["name"]: each.get("value", "filled-in") for each in container.get("env", [])}


def matches(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """A selector takes a pod with these labels."""
    return selector.items() <= labels.items()


def daemons() -> list[Any]:
    """Each workload of each overlay, as parameters of a test: all objects of the overlay, and the workload."""
    return [
        pytest.param(overlay(name), workload, id=f"{name}-{workload['metadata']['name']}")
        for name in OVERLAYS
        for workload in workloads(overlay(name))
    ]
