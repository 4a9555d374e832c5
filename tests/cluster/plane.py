"""A real control plane for one run: etcd, API server, controllers and scheduler, in a temporary folder, on loopback.

There is no kubelet and no container: nodes and pods are played by `kubelets`. Everything that decides whether a
manifest is accepted, what it becomes, and where its pods go, is the real thing.
"""

import contextlib
import os
import ssl
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from bench.daemon import free_port
from cluster.build import tool
from cluster.wait import until
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from harness.certificates import Authority

_TOKEN = "told-to-this-run-alone"
_KUBECONFIG = """apiVersion: v1
kind: Config
clusters: [{{name: proof, cluster: {{server: "{server}", certificate-authority: "{ca}"}}}}]
users: [{{name: proof, user: {{token: "{token}"}}}}]
contexts: [{{name: proof, context: {{cluster: proof, user: proof}}}}]
current-context: proof
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlPlane:
    """A control plane that runs.

    Attributes:
        server: URL of the API server.
        kubeconfig: The file with which kubectl is its administrator.
        folder: Where everything of this run is; the logs are `<program>.log`.
    """

    server: str
    kubeconfig: Path
    folder: Path

    def client(self) -> httpx.Client:
        """The API as its administrator."""
        trusted = ssl.create_default_context(cafile=self.folder / "ca.pem")
        headers = {"authorization": f"Bearer {_TOKEN}"}
        return httpx.Client(base_url=self.server, headers=headers, verify=trusted, trust_env=False)

    def kubectl(self, *arguments: str, text: str | None = None) -> "subprocess.CompletedProcess[str]":
        """Run kubectl as a person would; stdout and stderr are kept, the exit code is not judged."""
        command = [tool("kubectl", "install it, for instance from Debian's kubernetes-client"), *arguments]
        environment = {**os.environ, "KUBECONFIG": str(self.kubeconfig), "HOME": str(self.folder)}
        return subprocess.run(command, env=environment, input=text, capture_output=True, text=True, check=False)

    def items(self, path: str) -> list[dict[str, Any]]:
        """The objects of a list of the API, such as `/api/v1/nodes`."""
        with self.client() as client:
            answer = client.get(path)
            answer.raise_for_status()
            found: list[dict[str, Any]] = answer.json()["items"]
        return found


@contextlib.contextmanager
def running(binaries: Path, folder: Path, *, emulated: str = "") -> Iterator[ControlPlane]:
    """Start it in `folder` and wait until it is ready; everything that was started ends with the block.

    Args:
        binaries: Folder of the three programs.
        folder: An empty one.
        emulated: The older minor release that it shall behave as, such as 1.33; "" for its own.

    Raises:
        MissingToolError: etcd is not installed.
        TimeoutError: something did not come up; its log is in `folder`.
    """
    etcd_port, api_port = free_port(), free_port()
    plane = _prepared(folder, f"https://127.0.0.1:{api_port}")
    with contextlib.ExitStack() as ended:
        ended.enter_context(_program(_etcd(folder, etcd_port), folder))
        ended.enter_context(_program(_apiserver(binaries, folder, etcd_port, api_port, emulated), folder))
        with plane.client() as client:
            until(lambda: _is_ready(client), what=f"the API server to be ready; see {folder}/kube-apiserver.log")
        common = [f"--kubeconfig={plane.kubeconfig}", "--leader-elect=false", "--secure-port=0", *_as_of(emulated)]
        controllers = [f"--service-account-private-key-file={folder}/accounts.key", "--node-monitor-grace-period=1h"]
        ended.enter_context(_program([str(binaries / "kube-controller-manager"), *common, *controllers], folder))
        ended.enter_context(_program([str(binaries / "kube-scheduler"), *common], folder))
        yield plane


def _prepared(folder: Path, server: str) -> ControlPlane:
    authority = Authority("proof")
    authority.issue().write(folder / "server.pem", folder / "server.key")
    (folder / "ca.pem").write_bytes(authority.pem)
    accounts = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = accounts.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "accounts.key").write_bytes(pem)
    (folder / "tokens.csv").write_text(f'{_TOKEN},proof,proof,"system:masters"\n', encoding="utf-8")
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(_KUBECONFIG.format(server=server, ca=folder / "ca.pem", token=_TOKEN), encoding="utf-8")
    return ControlPlane(server=server, kubeconfig=kubeconfig, folder=folder)


def _etcd(folder: Path, port: int) -> list[str]:
    url, peer = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{free_port()}"
    return [
        tool("etcd", "apt-get install etcd-server"),
        f"--data-dir={folder}/etcd",
        f"--listen-client-urls={url}",
        f"--advertise-client-urls={url}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--unsafe-no-fsync",  # it lives for a minute
    ]


def _apiserver(binaries: Path, folder: Path, etcd_port: int, port: int, emulated: str) -> list[str]:
    return [
        str(binaries / "kube-apiserver"),
        f"--etcd-servers=http://127.0.0.1:{etcd_port}",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        f"--tls-cert-file={folder}/server.pem",
        f"--tls-private-key-file={folder}/server.key",
        f"--token-auth-file={folder}/tokens.csv",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={folder}/accounts.key",
        f"--service-account-signing-key-file={folder}/accounts.key",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--authorization-mode=RBAC",
        *_as_of(emulated),
    ]


def _as_of(emulated: str) -> list[str]:
    return [f"--emulated-version={emulated}"] if emulated else []


def _is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").is_success
    except httpx.TransportError:
        return False


@contextlib.contextmanager
def _program(command: Sequence[str], folder: Path) -> Iterator[None]:
    name = Path(command[0]).name
    with (folder / f"{name}.log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
