"""A pod of the manifests, without a cluster: its daemon runs here, with the pod's own configuration and variables.

The folders of the pod lie below a folder of the test, ports are free ones of this machine, and the provider is a
simulated one; everything else is as the manifests say.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import grpc
import grpc.aio
from acceptance.daemon import Daemon
from deploy.manifests import Manifest, daemon_of, pod_of, toml_of, variables
from harness.certificates import Authority

from edgeclient.simulator import Simulator

_PROVIDER = re.compile(r"https://(?:[\w.-]+\.aliyuncs\.com|127\.0\.0\.1:8443)/compatible-mode/v1")
_KEY = "sk-of-a-secret"


class Pod:
    """The folders of one pod, filled as its volumes would be.

    Attributes:
        state: The folder of queue and cache.
        health: Where its probes ask.
        authority: Issued the certificate of its port.
    """

    def __init__(self, manifests: list[Manifest], workload: Manifest, *, root: Path, sim: Simulator) -> None:
        self._daemon = daemon_of(pod_of(workload))
        self.state = root / "var/lib/edgeclient"
        self.state.mkdir(parents=True)
        self.health = f"unix:{root}/health"
        self.authority = Authority()
        text = toml_of(manifests, pod_of(workload))
        for file in re.findall(r'"(/run/secrets/[^"]*)"', text):
            (root / file[1:]).parent.mkdir(parents=True, exist_ok=True)
            (root / file[1:]).write_text(_KEY)
        self._tls = root / "run/secrets/edgeclient/tls"
        if self._tls.is_dir():
            self.authority.issue().write(self._tls / "tls.crt", self._tls / "tls.key")
        text = re.sub(r'"(/run|/var)/', rf'"{root}\1/', text)
        self._ca_file = root / "ca.pem"
        self._ca_file.write_bytes(sim.ca_file.read_bytes() if sim.ca_file else b"")
        self.file = root / "edgeclient.toml"
        self.file.write_text(_PROVIDER.sub(sim.base_url, text))

    def channel(self, address: str) -> grpc.aio.Channel:
        """To the port for devices; TLS, if the pod has a certificate for it."""
        if self._tls.is_dir():
            return grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(self.authority.pem))
        return grpc.aio.insecure_channel(address)

    def daemon(self, *under: str) -> Daemon:
        """Its daemon; `under` a command that takes rights away."""
        environment = variables(self._daemon) | {"EDGECLIENT_CONFIG": str(self.file)}
        given: Sequence[str] = [f"{name}={value}" for name, value in environment.items()]
        settings = {"ingress.health_listen": self.health, "upstream.ca_file": str(self._ca_file)}
        return Daemon(settings, key="", under=("env", *given, *under))
