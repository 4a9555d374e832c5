"""A linter that knows Kubernetes finds what we decided, with a reason each, and nothing else."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from deploy.manifests import DEPLOY, OVERLAYS, extra, render

_PROGRAM = shutil.which("kube-score", path=os.pathsep.join([os.environ["PATH"], str(Path.home() / "go" / "bin")]))
_EVERY_CONTAINER = {
    "container-image-pull-policy": "a node has to start without a registry",
    "container-resources": "no limit of CPU: a daemon that is throttled is late with everything",
    "container-ephemeral-storage-request-and-limit": "only its log is there, which the kubelet bounds",
}
_DECIDED = {
    "own-the-folder": {"container-security-context-user-group-id": "root with CHOWN alone; daemonset.yaml"},
    "edgeclient-devices": {"service-type": "devices off the cluster need a port of the node"},
    "gateway": {"deployment-has-host-podantiaffinity": "topologySpreadConstraints spread it"},
    "dev": {"deployment-strategy": "one owner of the queue", "deployment-replicas": "the same"},
}


@pytest.mark.skipif(_PROGRAM is None, reason="kube-score is not installed")
@pytest.mark.parametrize("name", OVERLAYS)
def test_the_linter_finds_what_was_decided_and_nothing_else(name: str) -> None:
    assert _PROGRAM is not None
    command = [_PROGRAM, "score", "--output-format", "json", "--kubernetes-version", "v1.30", "-"]
    text = render(DEPLOY / "overlays" / name)
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    found = {
        (check["check"]["id"], comment["path"] or each["object_meta"]["name"])
        for each in json.loads(done.stdout)
        for check in each["checks"]
        if not check["skipped"] and check["grade"] < 10
        for comment in check["comments"] or []
    }

    assert len(found) >= len(_EVERY_CONTAINER)
    undecided = {
        (check, where)
        for check, where in found
        if check not in _EVERY_CONTAINER
        and check not in _DECIDED.get(where, {})
        and check not in (_DECIDED.get(name, {}) if where == "edgeclient" else {})
    }
    assert set() == undecided


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_prometheus_understands_the_alerts(tmp_path: Path) -> None:
    (rules,) = extra("alerts.yaml")
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": rules["spec"]["groups"]}))
    done = subprocess.run(["promtool", "check", "rules", file], capture_output=True, text=True, check=False)

    assert 0 == done.returncode, done.stdout + done.stderr
