"""What is applied is what is kept in the repository, and every supported version of Kubernetes takes it."""

import json
import shutil
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from deploy.manifests import (
    DEFAULT,
    DEPLOY,
    OVERLAYS,
    Manifest,
    extra,
    of_kind,
    overlay,
    parse,
    pod_of,
    render,
    workloads,
)
from yamllint import linter
from yamllint.config import YamlLintConfig

VERSIONS = [f"1.{minor}" for minor in range(27, 38)]
OF_OTHERS = {
    "certificate.yaml": "cert-manager.io/v1",
    "external-secrets.yaml": "external-secrets.io/v1",
    "keda.yaml": "keda.sh/v1alpha1",
    "node-feature-rule.yaml": "nfd.k8s-sigs.io/v1alpha1",
    "pod-monitor.yaml": "monitoring.coreos.com/v1",
    "alerts.yaml": "monitoring.coreos.com/v1",
}
"""Extras that need something installed, so that no `apply` of ours sends them."""
OF_KUBERNETES = ["local-volumes.example.yaml", "secrets.example.yaml"]
NO_MANIFESTS = ["prometheus-adapter-values.yaml"]
STYLE = "{extends: default, rules: {line-length: {max: 120}, document-start: disable, truthy: {level: error}}}"
SOURCES = sorted({*DEPLOY.rglob("*.yaml"), DEPLOY / "Kustomization"} - {DEPLOY / "edgeclient.yaml"})


def applied() -> list[Path]:
    """What `kubectl apply -f deploy/` reads: by the ending, in lexical order, no subfolders."""
    return sorted(path for path in DEPLOY.iterdir() if path.suffix in (".yaml", ".yml", ".json"))


def test_the_default_overlay_is_what_lies_in_the_folder() -> None:
    (committed,) = applied()
    head, _, body = committed.read_text().partition("\n")

    assert head.startswith("# Made by `make manifests`")
    assert render(DEPLOY / "overlays" / DEFAULT) == body, "run `make manifests`"


def test_apply_with_k_gives_the_same() -> None:
    assert overlay(DEFAULT) == parse(render(DEPLOY))


def test_the_namespace_comes_first_and_everything_else_is_in_it() -> None:
    (committed,) = applied()
    namespace, *others = parse(committed.read_text())

    assert "Namespace" == namespace["kind"]
    for manifest in others:
        if manifest["kind"] != "PriorityClass":
            assert namespace["metadata"]["name"] == manifest["metadata"]["namespace"], manifest["metadata"]["name"]


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_takes_every_overlay_and_the_examples(version: str) -> None:
    overlays = [name for name in OVERLAYS if (name, version) != ("dev", "1.27")]  # that one has a test of its own
    everything = [*(overlay(name) for name in overlays), *(extra(name) for name in OF_KUBERNETES)]
    different = {json.dumps(manifest): manifest for manifests in everything for manifest in manifests}

    assert len(different) > 20
    for manifest in different.values():
        kubernetes_validate.validate(manifest, version, strict=True)


def test_what_needs_something_installed_is_known() -> None:
    found = {path.name: path for path in (DEPLOY / "extras").iterdir() if path.suffix == ".yaml"}

    assert sorted(found) == sorted([*OF_OTHERS, *OF_KUBERNETES, *NO_MANIFESTS])
    for name, version in OF_OTHERS.items():
        assert {version} == {manifest["apiVersion"] for manifest in extra(name)}


@pytest.mark.parametrize(
    ("kind", "version", "lacks"),
    [
        ("PodDisruptionBudget", "1.25", "unhealthyPodEvictionPolicy"),
        ("Deployment", "1.27", "restartPolicy"),  # of the simulated cloud, which runs beside the daemon of overlays/dev
    ],
)
def test_an_old_version_says_what_it_lacks(kind: str, version: str, lacks: str) -> None:
    name = "dev" if kind == "Deployment" else DEFAULT
    (manifest,) = of_kind(overlay(name), kind)
    with pytest.raises(kubernetes_validate.ValidationError) as caught:
        kubernetes_validate.validate(manifest, version, strict=True)

    assert f"'{lacks}' was unexpected" in str(caught.value)


@pytest.mark.parametrize("name", OVERLAYS)
def test_another_configuration_is_another_pod_template(name: str, tmp_path: Path) -> None:
    shutil.copytree(DEPLOY, tmp_path / "deploy")
    for file in (tmp_path / "deploy").rglob("edgeclient.toml"):
        file.write_text(file.read_text() + '\n[chat]\ndefault_model = "qwen-flash"\n')
    changed = parse(render(tmp_path / "deploy" / "overlays" / name))

    for before, after in zip(workloads(overlay(name)), workloads(changed), strict=True):
        (one,) = [volume["configMap"]["name"] for volume in pod_of(before)["volumes"] if volume["name"] == "config"]
        (other,) = [volume["configMap"]["name"] for volume in pod_of(after)["volumes"] if volume["name"] == "config"]
        assert one != other
        assert one in {config["metadata"]["name"] for config in of_kind(overlay(name), "ConfigMap")}
        assert other in {config["metadata"]["name"] for config in of_kind(changed, "ConfigMap")}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(DEPLOY)))
def test_sources_are_tidy(path: Path) -> None:
    problems = linter.run(path.read_text(), YamlLintConfig(STYLE), str(path))

    assert [] == [f"{problem.line}: {problem.desc}" for problem in problems]


@pytest.mark.parametrize("name", OVERLAYS)
def test_no_object_is_there_twice(name: str) -> None:
    keys = [_key(manifest) for manifest in overlay(name)]

    assert len(keys) == len(set(keys))


def _key(manifest: Manifest) -> tuple[str, str, str]:
    return manifest["kind"], manifest["metadata"].get("namespace", ""), manifest["metadata"]["name"]


def test_the_wrong_spelling_of_a_field_would_be_found() -> None:
    (manifest,) = of_kind(overlay(DEFAULT), "DaemonSet")
    spoilt = yaml.safe_load(yaml.safe_dump(manifest))
    pod_of(spoilt)["tolerations"][0]["operatr"] = "Exists"
    with pytest.raises(kubernetes_validate.ValidationError, match="operatr"):
        kubernetes_validate.validate(spoilt, VERSIONS[-1], strict=True)
