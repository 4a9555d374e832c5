"""What one manifest says of another is true: labels, ports, names, levels, metrics."""

import importlib
import pkgutil
import re
from typing import Any

import pytest
from deploy.manifests import (
    OVERLAYS,
    Manifest,
    containers,
    daemon_of,
    daemons,
    extra,
    matches,
    of_kind,
    overlay,
    pod_of,
    queries,
    workloads,
)

from edgeclient import telemetry
from edgeclient.telemetry import names
from edgeclient.telemetry.names import Spec

EVERY_DAEMON = pytest.mark.parametrize(("manifests", "workload"), daemons())
EVERY_OVERLAY = pytest.mark.parametrize("name", OVERLAYS)
OF_NODES = {
    "kubernetes.io/os",  # set by every kubelet
    "kubernetes.io/arch",  # set by every kubelet
    "node.kubernetes.io/instance-type",  # set by k3s, with the value k3s
    "topology.kubernetes.io/region",  # set by cloud providers, or when a node joins
}
"""Labels of nodes that exist without us."""


def labels_of(workload: Manifest) -> dict[str, str]:
    labels: dict[str, str] = workload["spec"]["template"]["metadata"]["labels"]
    return labels


@EVERY_DAEMON
def test_every_selector_takes_the_pods(manifests: list[Manifest], workload: Manifest) -> None:
    labels, spec = labels_of(workload), pod_of(workload)
    apart = spec.get("affinity", {}).get("podAntiAffinity", {})
    terms = apart.get("requiredDuringSchedulingIgnoredDuringExecution", [])
    selectors = [
        workload["spec"]["selector"]["matchLabels"],
        *(service["spec"]["selector"] for service in of_kind(manifests, "Service")),
        *(each["spec"]["podSelector"]["matchLabels"] for each in of_kind(manifests, "NetworkPolicy")),
        *(each["spec"]["selector"]["matchLabels"] for each in of_kind(manifests, "PodDisruptionBudget")),
        *(each["labelSelector"]["matchLabels"] for each in [*terms, *spec.get("topologySpreadConstraints", [])]),
        extra("pod-monitor.yaml")[0]["spec"]["selector"]["matchLabels"],
    ]

    assert all(selectors)
    assert [] == [selector for selector in selectors if not matches(selector, labels)]


@EVERY_OVERLAY
def test_no_two_workloads_fight_over_a_pod(name: str) -> None:
    found = workloads(overlay(name))
    for index, one in enumerate(found):
        selector = one["spec"]["selector"]["matchLabels"]

        assert [index] == [other for other, each in enumerate(found) if matches(selector, labels_of(each))]


@EVERY_DAEMON
def test_services_and_policies_name_ports_of_the_pods(manifests: list[Manifest], workload: Manifest) -> None:
    ports = {each["name"] for each in daemon_of(pod_of(workload))["ports"]}
    services = [port for service in of_kind(manifests, "Service") for port in service["spec"]["ports"]]
    policies = [
        port["port"]
        for policy in of_kind(manifests, "NetworkPolicy")
        for rule in policy["spec"]["ingress"]
        for port in rule["ports"]
    ]

    assert services
    assert {"grpc"} == {port["targetPort"] for port in services}
    assert {"grpc", "admin"} == set(policies)
    assert set(policies) < ports  # the port for probes is nobody's but the kubelet's


@EVERY_OVERLAY
def test_who_calls_is_answered_on_its_own_node(name: str) -> None:
    services = {each["metadata"]["name"]: each["spec"] for each in of_kind(overlay(name), "Service")}
    if name in ("gateway", "dev"):
        assert "edgeclient-devices" not in services
        assert "Local" != services["edgeclient"].get("internalTrafficPolicy")
        return
    devices = services["edgeclient-devices"]
    (port,) = devices["ports"]

    assert "Local" == services["edgeclient"]["internalTrafficPolicy"]
    assert ("NodePort", "Local") == (devices["type"], devices["externalTrafficPolicy"])
    assert 30000 <= port["nodePort"] <= 32767


@EVERY_DAEMON
def test_nodes_are_chosen_by_labels_that_exist(manifests: list[Manifest], workload: Manifest) -> None:
    del manifests
    (rule,) = extra("node-feature-rule.yaml")[0]["spec"]["rules"]
    selector: dict[str, str] = pod_of(workload)["nodeSelector"]
    ours = {key: value for key, value in selector.items() if key not in OF_NODES}

    assert "linux" == selector["kubernetes.io/os"]
    assert ours in ({}, rule["labels"])
    for prefix in {key.partition("/")[0] for key in rule["labels"]}:
        assert not prefix.endswith("kubernetes.io"), "Node Feature Discovery sets no such label"


def test_the_default_chooses_jetsons() -> None:
    (workload,) = workloads(overlay("jetson"))
    expected = {"kubernetes.io/os": "linux", "kubernetes.io/arch": "arm64", "edgeclient/jetson": "true"}
    tolerated = {each["key"]: each.get("effect", "") for each in pod_of(workload)["tolerations"]}

    assert expected == pod_of(workload)["nodeSelector"]
    assert "NoSchedule" == tolerated["nvidia.com/gpu"]


@EVERY_DAEMON
def test_pods_stay_on_a_node_that_is_away_where_nobody_can_replace_them(
    manifests: list[Manifest], workload: Manifest
) -> None:
    del manifests
    away = {"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"}
    for_ever = {
        each["key"]
        for each in pod_of(workload).get("tolerations", [])
        if (each["operator"], each.get("effect", "NoExecute")) == ("Exists", "NoExecute")
        and "tolerationSeconds" not in each
    }

    assert (away <= for_ever) == (workload["kind"] != "Deployment")


@EVERY_DAEMON
def test_names_lead_to_what_is_there(manifests: list[Manifest], workload: Manifest) -> None:
    def there(kind: str) -> set[str]:
        return {each["metadata"]["name"] for each in of_kind(manifests, kind)}

    pod, spec = pod_of(workload), workload["spec"]
    assert pod["serviceAccountName"] in there("ServiceAccount")
    assert {pod.get("priorityClassName")} - {None} <= there("PriorityClass")
    assert {spec.get("serviceName")} - {None} <= there("Service")
    classes = {claim["spec"]["storageClassName"] for claim in spec.get("volumeClaimTemplates", [])}
    assert classes <= there("StorageClass")
    if classes:
        (volume,) = extra("local-volumes.example.yaml")
        (claim,) = spec["volumeClaimTemplates"]
        assert {volume["spec"]["storageClassName"]} == classes
        assert volume["spec"]["capacity"]["storage"] == claim["spec"]["resources"]["requests"]["storage"]


@EVERY_OVERLAY
def test_a_budget_never_refuses_everything(name: str) -> None:
    (workload, *_) = workloads(overlay(name))
    for budget in of_kind(overlay(name), "PodDisruptionBudget"):
        kept = budget["spec"].keys() & {"minAvailable", "maxUnavailable"}

        assert {"minAvailable" if workload["kind"] == "DaemonSet" else "maxUnavailable"} == kept
        assert isinstance(budget["spec"][kept.pop()], int)
        assert "AlwaysAllow" == budget["spec"]["unhealthyPodEvictionPolicy"]


# the levels of Pod Security; a real control plane is asked in tests/cluster


def beyond_restricted(pod: Manifest) -> set[str]:
    """What the level restricted forbids of it."""
    found = {key for key in ("hostNetwork", "hostPID", "hostIPC") if pod.get(key)}
    permitted = {"configMap", "secret", "emptyDir", "projected", "downwardAPI", "csi", "persistentVolumeClaim"}
    found |= {kind for volume in pod["volumes"] for kind in volume.keys() - {"name"} - permitted}
    for container in containers(pod):
        security: dict[str, Any] = pod["securityContext"] | container["securityContext"]
        if not security.get("runAsNonRoot") or security.get("runAsUser") == 0:
            found.add("root")
        if security.get("seccompProfile", {}).get("type") != "RuntimeDefault":
            found.add("seccomp")
        if security.get("allowPrivilegeEscalation", True) or security.get("privileged"):
            found.add("privileges")
        if security.get("capabilities", {}).get("drop") != ["ALL"]:
            found.add("capabilities")
        found |= {f"capability {each}" for each in security["capabilities"].get("add", [])} - {
            "capability NET_BIND_SERVICE"
        }
    return found


@EVERY_DAEMON
def test_the_namespace_admits_the_pods(manifests: list[Manifest], workload: Manifest) -> None:
    (namespace,) = of_kind(manifests, "Namespace")
    level = namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
    needs = beyond_restricted(pod_of(workload))

    assert ("restricted" if not needs else "privileged") == level
    assert needs in (set(), {"hostPath", "root", "capability CHOWN"})
    for container in containers(pod_of(workload)):
        assert container["securityContext"]["readOnlyRootFilesystem"] is True


@pytest.mark.parametrize("name", ["restricted", "gateway", "dev"])
def test_what_runs_under_restricted(name: str) -> None:
    assert [set()] == [beyond_restricted(pod_of(workload)) for workload in workloads(overlay(name))]


# metrics


def specs() -> dict[str, Spec]:
    """All metrics of the daemon, by the names that they have in Prometheus."""
    modules = [each.name for each in pkgutil.iter_modules(telemetry.__path__) if each.name.endswith("names")]
    found = [
        spec
        for module in modules
        for spec in vars(importlib.import_module(f"edgeclient.telemetry.{module}")).values()
        if isinstance(spec, Spec)
    ]
    endings = ("", "_total", "_bucket", "_count", "_sum")
    return {f"{spec.name}{ending}": spec for spec in found for ending in endings}


def test_queries_ask_for_metrics_and_labels_that_exist() -> None:
    known = specs()
    found = [pair for query in queries() for pair in re.findall(r"((?:edgeclient|rpc)_\w+)(?:\{([^}]*)\})?", query)]

    assert len(found) >= len(queries()) - 1
    for metric, selector in found:
        assert metric in known, metric
        labels = set(re.findall(r"(\w+)\s*(?:=|!)", selector)) - {"namespace", "pod"}
        assert labels <= set(known[metric].labels), metric


def test_the_gateway_grows_above_fifty_calls_in_flight() -> None:
    (scaler,) = of_kind(overlay("gateway"), "HorizontalPodAutoscaler")
    (workload,) = workloads(overlay("gateway"))
    (metric,) = scaler["spec"]["metrics"]

    target = scaler["spec"]["scaleTargetRef"]
    assert (workload["apiVersion"], workload["kind"], workload["metadata"]["name"]) == (
        target["apiVersion"],
        target["kind"],
        target["name"],
    )
    assert "replicas" not in workload["spec"]
    assert names.ACTIVE_CALLS.name == metric["pods"]["metric"]["name"]
    assert {"type": "AverageValue", "averageValue": "50"} == metric["pods"]["target"]


def test_the_extras_for_scaling_say_the_same() -> None:
    (scaler,) = of_kind(overlay("gateway"), "HorizontalPodAutoscaler")
    (keda,) = extra("keda.yaml")
    (adapter,) = extra("prometheus-adapter-values.yaml")
    (rule,), (trigger,) = adapter["rules"]["custom"], keda["spec"]["triggers"]

    assert names.ACTIVE_CALLS.name == rule["name"]["as"]
    assert re.fullmatch(rule["name"]["matches"], names.ACTIVE_CALLS.name)
    assert rule["seriesQuery"].startswith(names.ACTIVE_CALLS.name + "{")
    assert scaler["spec"]["scaleTargetRef"] == keda["spec"]["scaleTargetRef"]
    assert f'sum({names.ACTIVE_CALLS.name}{{namespace="edgeclient"}})' == trigger["metadata"]["query"]
    assert "50" == trigger["metadata"]["threshold"]
    bounds = [scaler["spec"]["minReplicas"], scaler["spec"]["maxReplicas"]]
    assert bounds == [keda["spec"]["minReplicaCount"], keda["spec"]["maxReplicaCount"]]
