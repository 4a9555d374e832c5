"""The wiring of what the operator sees: the admin port and its pages, and the word that the node has started."""

from collections.abc import Callable

from edgeclient import __version__
from edgeclient.config.schema import Config
from edgeclient.core.events import Event
from edgeclient.core.node_events import NodeStarted
from edgeclient.core.ports import Clock, Observe
from edgeclient.ingress.server import GrpcServer
from edgeclient.telemetry.admin import AdminServer
from edgeclient.telemetry.admin_pages import admin_pages
from edgeclient.telemetry.gauges import Gauges
from edgeclient.telemetry.metrics import Metrics


def operators_port(
    config: Config,
    *,
    metrics: Metrics,
    gauges: Gauges,
    devices: GrpcServer,
    usage: Callable[[], bytes],
    observe: Observe,
) -> AdminServer | None:
    """Make and join the port for operators; None: the configuration wants none."""
    metrics.read_at_scrape(gauges)
    pages = admin_pages(
        metrics=metrics.page,
        readiness=lambda: {"port": "" if devices.serving else "the port for devices takes no calls"},
        usage=usage,
    )
    return AdminServer(config.admin.listen, pages=pages, observe=observe) if config.admin.listen else None


def node_started(
    config: Config,
    *,
    node_id: str,
    upstream: str,
    devices: GrpcServer,
    admin: AdminServer | None,
    clock: Clock,
    age_s: float,
) -> Callable[[], Event]:
    """Make what makes the event that the node takes calls; `age_s` is how long the process has existed by now."""
    begun_s = clock.monotonic_s() - age_s
    return lambda: NodeStarted(
        version=__version__,
        node_id=node_id,
        listen=devices.address,
        tls=bool(config.ingress.tls_certificate_file),
        admin=admin.address if admin else "",
        upstream=upstream,
        startup_s=clock.monotonic_s() - begun_s,
    )
