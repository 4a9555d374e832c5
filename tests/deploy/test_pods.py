"""What stands in a pod is what the daemon understands: its settings, files, ports, probes, variables and arguments."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import click
import pytest
from deploy.manifests import (
    DEPLOY,
    OVERLAYS,
    Manifest,
    containers,
    daemon_of,
    daemons,
    extra,
    overlay,
    pod_of,
    toml_of,
    variables,
    workloads,
)

from edgeclient import __version__
from edgeclient.cli.main import edgeclient
from edgeclient.config.layers import defaults, variable
from edgeclient.config.load import DEFAULT_FILE, load
from edgeclient.config.schema import Config
from edgeclient.config.setting import SettingError
from edgeclient.ingress.methods import NODE_SERVICE

DOCKERFILE = (DEPLOY.parent / "Dockerfile.alpine").read_text()
EVERY_DAEMON = pytest.mark.parametrize(("manifests", "workload"), daemons())


def loaded(manifests: list[Manifest], workload: Manifest, folder: Path, *, more: str = "") -> Config:
    """The configuration as the daemon of the pod loads it."""
    pod = pod_of(workload)
    file = folder / "edgeclient.toml"
    file.write_text(toml_of(manifests, pod) + more)
    return load(file=None, environ=variables(daemon_of(pod)), overrides={}, default_file=file).config


def files_of(config: Config) -> Iterator[tuple[str, str]]:
    """Each file or folder that the configuration names, with its setting."""
    for path in defaults():
        if path.endswith(("_file", ".file", ".directory")):
            section, _, name = path.partition(".")
            if value := getattr(getattr(config, section), name):
                yield path, value
    for row in config.targets:
        for name in ("api_key_file", "ca_file"):
            if value := getattr(row, name):
                yield f"targets.{name}", value


def port_of(address: str) -> int:
    return int(address.rpartition(":")[2])


@EVERY_DAEMON
def test_the_configuration_is_one(manifests: list[Manifest], workload: Manifest, tmp_path: Path) -> None:
    config = loaded(manifests, workload, tmp_path)

    assert "filled-in" == config.node.id


@EVERY_DAEMON
def test_a_setting_that_does_not_exist_is_told_with_its_line(
    manifests: list[Manifest], workload: Manifest, tmp_path: Path
) -> None:
    with pytest.raises(SettingError) as caught:
        loaded(manifests, workload, tmp_path, more="\n[cach]\nttl_s = 1\n")

    assert "cach is not a section; did you mean cache" in str(caught.value)


@EVERY_DAEMON
def test_the_file_is_where_the_daemon_looks(manifests: list[Manifest], workload: Manifest) -> None:
    (mount,) = [each for each in daemon_of(pod_of(workload))["volumeMounts"] if each["name"] == "config"]

    assert tomllib.loads(toml_of(manifests, pod_of(workload)))
    assert DEFAULT_FILE == Path(mount["mountPath"]) / "edgeclient.toml"


@EVERY_DAEMON
def test_every_file_that_is_named_is_mounted(manifests: list[Manifest], workload: Manifest, tmp_path: Path) -> None:
    mounts = {mount["mountPath"]: mount for mount in daemon_of(pod_of(workload))["volumeMounts"]}
    found = list(files_of(loaded(manifests, workload, tmp_path)))

    assert found
    for setting, file in found:
        (above,) = [mount for place, mount in mounts.items() if PurePosixPath(file).is_relative_to(place)]
        assert setting.endswith(".directory") != above.get("readOnly", False), setting


@EVERY_DAEMON
def test_every_mount_has_its_volume_and_the_other_way_round(manifests: list[Manifest], workload: Manifest) -> None:
    del manifests
    claims = [claim["metadata"]["name"] for claim in workload["spec"].get("volumeClaimTemplates", [])]
    volumes = {*claims, *(volume["name"] for volume in pod_of(workload)["volumes"])}

    assert volumes == {mount["name"] for each in containers(pod_of(workload)) for mount in each["volumeMounts"]}
    for volume in pod_of(workload)["volumes"]:
        assert len(volume) == 2, f"{volume['name']} is of several kinds"


@EVERY_DAEMON
def test_ports_are_those_that_the_daemon_listens_on(
    manifests: list[Manifest], workload: Manifest, tmp_path: Path
) -> None:
    config = loaded(manifests, workload, tmp_path)
    listens = {"grpc": config.ingress.listen, "health": config.ingress.health_listen, "admin": config.admin.listen}
    ports = {each["name"]: each["containerPort"] for each in daemon_of(pod_of(workload))["ports"]}

    assert {name: port_of(listen) for name, listen in listens.items()} == ports
    assert {"0.0.0.0"} == {listen.rpartition(":")[0] for listen in listens.values()}


@EVERY_DAEMON
def test_probes_ask_the_port_without_tls_and_never_for_the_provider(
    manifests: list[Manifest], workload: Manifest, tmp_path: Path
) -> None:
    daemon = daemon_of(pod_of(workload))
    health = port_of(loaded(manifests, workload, tmp_path).ingress.health_listen)
    asked = {name: daemon[f"{name}Probe"]["grpc"] for name in ("startup", "liveness", "readiness")}

    assert {health} == {probe["port"] for probe in asked.values()}
    services = {name: probe.get("service", "") for name, probe in asked.items()}
    assert {"startup": "", "liveness": "", "readiness": NODE_SERVICE} == services


@EVERY_DAEMON
def test_prometheus_is_led_to_the_admin_port(manifests: list[Manifest], workload: Manifest, tmp_path: Path) -> None:
    config = loaded(manifests, workload, tmp_path)
    notes = workload["spec"]["template"]["metadata"]["annotations"]
    (monitor,) = extra("pod-monitor.yaml")
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]

    assert str(port_of(config.admin.listen)) == notes["prometheus.io/port"]
    assert "/metrics" == notes["prometheus.io/path"] == endpoint["path"]
    assert "admin" == endpoint["port"]
    assert "edgeclient" == notes["kubectl.kubernetes.io/default-container"]


@EVERY_DAEMON
def test_plaintext_stays_inside(manifests: list[Manifest], workload: Manifest, tmp_path: Path) -> None:
    config = loaded(manifests, workload, tmp_path)
    namespace = workload["metadata"]["namespace"]

    assert config.ingress.allow_plaintext == (namespace == "edgeclient-dev")
    assert bool(config.ingress.tls_certificate_file) == (namespace != "edgeclient-dev")
    if config.ingress.allow_plaintext:
        assert [] == [each for each in manifests if each["kind"] == "Service" and each["spec"]["type"] != "ClusterIP"]


@EVERY_DAEMON
def test_what_runs_gets_its_time_to_end(manifests: list[Manifest], workload: Manifest, tmp_path: Path) -> None:
    pod = pod_of(workload)
    before = daemon_of(pod).get("lifecycle", {}).get("preStop", {}).get("exec", {"command": ["sleep", "0"]})["command"]
    drain_s = loaded(manifests, workload, tmp_path).ingress.drain_s

    assert "sleep" == before[0]
    assert pod["terminationGracePeriodSeconds"] >= int(before[1]) + drain_s + 10


@pytest.mark.parametrize("name", OVERLAYS)
def test_variables_are_settings(name: str) -> None:
    known = {variable(path) for path in defaults()}
    found = {each for workload in workloads(overlay(name)) for each in variables(daemon_of(pod_of(workload)))}

    assert found
    assert found <= known


@pytest.mark.parametrize("name", OVERLAYS)
def test_arguments_are_a_command_line_of_ours(name: str) -> None:
    for workload in workloads(overlay(name)):
        for container in containers(pod_of(workload)):
            if container["image"].startswith("edgeclient:") and "args" in container:
                command, *rest = container["args"]
                found = edgeclient.get_command(click.Context(edgeclient), command)
                assert found is not None, command
                found.make_context(command, rest)  # raises where an option is none of ours


@pytest.mark.parametrize("name", OVERLAYS)
def test_image_and_user_are_those_of_the_image_that_is_built(name: str) -> None:
    for workload in workloads(overlay(name)):
        pod = pod_of(workload)
        ours = {each["image"] for each in containers(pod) if each["name"] != "local-model"}
        user = {pod["securityContext"][key] for key in ("runAsUser", "runAsGroup", "fsGroup")}

        assert {f"edgeclient:{__version__}"} == ours
        assert [f"{user.pop()}:65532"] == re.findall(r"^USER (.*)$", DOCKERFILE, re.MULTILINE)
        assert not user
    assert 'ENTRYPOINT ["edgeclient"]' in DOCKERFILE


@pytest.mark.parametrize("name", OVERLAYS)
def test_a_container_that_ends_leaves_its_reason_behind(name: str) -> None:
    for workload in workloads(overlay(name)):
        for container in pod_of(workload)["containers"]:
            assert "FallbackToLogsOnError" == container["terminationMessagePolicy"], container["name"]


@EVERY_DAEMON
def test_secrets_are_those_of_the_examples_with_the_files_that_are_read(
    manifests: list[Manifest], workload: Manifest, tmp_path: Path
) -> None:
    examples = {secret["metadata"]["name"]: secret["stringData"] for secret in extra("secrets.example.yaml")}
    (external,), (certificate,) = extra("external-secrets.yaml"), extra("certificate.yaml")
    assert {"edgeclient-api-key", "edgeclient-tls"} == set(examples)
    assert external["spec"]["target"]["name"] == external["metadata"]["name"] == "edgeclient-api-key"
    assert ["api-key"] == [each["secretKey"] for each in external["spec"]["data"]]
    assert "edgeclient-tls" == certificate["spec"]["secretName"]

    generated = {each["metadata"]["name"] for each in manifests if each["kind"] == "Secret"}
    region = workload["metadata"]["labels"].get("app.kubernetes.io/instance", "")
    made_here = generated | {f"edgeclient-api-key-{region}"}  # a region has a Secret of its own

    files = [file for _, file in files_of(loaded(manifests, workload, tmp_path))]
    secrets = {each["name"]: each["secret"] for each in pod_of(workload)["volumes"] if "secret" in each}
    for mount in daemon_of(pod_of(workload))["volumeMounts"]:
        if mount["name"] in secrets:
            secret = secrets[mount["name"]]
            assert 0o440 == secret["defaultMode"]
            wanted = {Path(file).name for file in files if Path(file).parent == Path(mount["mountPath"])}
            assert wanted
            if secret["secretName"] in examples:
                assert wanted <= set(examples[secret["secretName"]])
            else:
                assert secret["secretName"] in made_here


def test_the_model_on_the_node_is_the_last_target_and_in_the_same_pod(tmp_path: Path) -> None:
    manifests = overlay("local-model")
    (workload,) = workloads(manifests)
    *others, last = loaded(manifests, workload, tmp_path).targets
    (script,) = [each["command"][-1] for each in pod_of(workload)["containers"] if each["name"] == "local-model"]

    assert [False] == [row.local for row in others]
    assert (last.local, last.keyless) == (True, True)
    assert "http://127.0.0.1:8080/v1" == last.base_url
    assert "--host 127.0.0.1 --port 8080 " in script
    assert f"--alias {last.names['*']} " in script


def test_a_region_is_the_first_target_of_its_instance(tmp_path: Path) -> None:
    manifests = overlay("regions")
    for workload in workloads(manifests):
        region = pod_of(workload)["nodeSelector"]["topology.kubernetes.io/region"]
        first, *others = loaded(manifests, workload, tmp_path).targets

        assert workload["metadata"]["name"] == f"edgeclient-{region}"
        assert (region, 0) == (first.name, first.tier)
        assert all(row.tier > 0 for row in others)
        assert not (region == "cn-beijing" and others), "what is asked in mainland China stays there"
