"""Which proxy leads to the provider, decided once at start and the same for every engine.

`environment` means what it means to curl: HTTPS_PROXY (or HTTP_PROXY for a plain URL), ALL_PROXY behind them, NO_PROXY
against all. With one exception, taken from Go: a provider on this very machine is never looked for behind a proxy.
"""

from collections.abc import Mapping
from urllib.parse import urlsplit

from edgeclient.config.address import is_loopback
from edgeclient.config.schema import UpstreamConfig


def proxy_url(config: UpstreamConfig, environment: Mapping[str, str]) -> str:
    """URL of the proxy; "" if there is none."""
    if config.proxy == "none":
        return ""
    if config.proxy != "environment":
        return config.proxy
    url = urlsplit(config.base_url)
    host = url.hostname or ""
    if is_loopback(f"{host}:0") or _is_excluded(host, url.port, _variable(environment, "no_proxy")):
        return ""
    found = _variable(environment, f"{url.scheme}_proxy") or _variable(environment, "all_proxy")
    return found if "://" in found or not found else f"http://{found}"


def _variable(environment: Mapping[str, str], name: str) -> str:
    """The lower-case spelling wins, as in curl."""
    return (environment.get(name) or environment.get(name.upper()) or "").strip()


def _is_excluded(host: str, port: int | None, no_proxy: str) -> bool:
    for entry in no_proxy.lower().replace(",", " ").split():
        name, _, its_port = entry.rpartition(":") if entry.count(":") == 1 else (entry, "", "")
        if its_port and its_port != str(port or 443):
            continue
        name = name.lstrip("*").lstrip(".")
        if not name or host == name or host.endswith(f".{name}"):
            return True
    return False
