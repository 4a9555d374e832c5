"""What is true at the moment of a scrape.

Numbers that a part of the house holds anyway are not copied here at every change but asked for at the scrape, through
the functions of `Gauges`. States that are only told by events (uplink, protocol, draining) are remembered.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from edgeclient.core.cache import CacheStats
from edgeclient.core.events import Uplink
from edgeclient.core.jobs import SpoolStats
from edgeclient.telemetry import names
from edgeclient.telemetry.cache_metrics import cache_families
from edgeclient.telemetry.dispatch_metrics import DispatchView, dispatch_families
from edgeclient.telemetry.names import Spec
from edgeclient.telemetry.quota_metrics import QuotaView, quota_families
from edgeclient.telemetry.spool_metrics import spool_families

Read = Callable[[], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauges:
    """Functions that are asked at every scrape; they must be quick. None: there is no such thing here.

    Attributes:
        active_calls: Chats in progress.
        upstream_in_flight: Requests in progress at the provider.
        certificate_expires_at_s: When the certificate of the port for devices expires, since the Unix epoch.
        spool: Counts of the durable queue.
        cache: Counts of the cache.
        quota: How limits and budgets stand.
        dispatch: How the lines in front of the targets stand.
    """

    active_calls: Read | None = None
    upstream_in_flight: Read | None = None
    certificate_expires_at_s: Read | None = None
    spool: Callable[[], SpoolStats] | None = None
    cache: Callable[[], CacheStats] | None = None
    quota: Callable[[], QuotaView] | None = None
    dispatch: Callable[[], Iterable[DispatchView]] | None = None


class StateCollector(Collector):
    """The states of the node as gauges.

    Args:
        node_id: Name of the node.
        version: Version of the software.
        targets: Names of the targets; each begins as unknown.
        on_failure: Told the name of the gauge whose function raised; the other gauges are shown all the same.
    """

    def __init__(
        self,
        *,
        node_id: str,
        version: str,
        targets: Iterable[str],
        on_failure: Callable[[str], None],
    ) -> None:
        self.uplinks = dict.fromkeys(targets, Uplink.UNKNOWN)
        self.protocols: dict[str, str] = {}
        self.draining = False
        self.startup_s: float | None = None
        self.gauges = Gauges()
        self._on_failure = on_failure
        self._identity = [
            _family(names.TARGET_INFO, {("edgeclient", version, node_id): 1}),
            _family(names.BUILD_INFO, {(version,): 1}),
        ]

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Nothing: the names are checked by the tests, and a scrape is not wanted at registration."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The states as of now."""
        yield from self._identity
        yield _family(names.DRAINING, {(): self.draining})
        if self.startup_s is not None:
            yield _family(names.STARTUP, {(): self.startup_s})
        yield _family(
            names.UPLINK_STATE,
            {(target, state.value): state is now for target, now in self.uplinks.items() for state in Uplink},
        )
        yield _family(names.PROTOCOL_INFO, dict.fromkeys(self.protocols.items(), 1))
        for spec, read in (
            (names.ACTIVE_CALLS, self.gauges.active_calls),
            (names.UPSTREAM_IN_FLIGHT, self.gauges.upstream_in_flight),
            (names.CERTIFICATE_EXPIRY, self.gauges.certificate_expires_at_s),
        ):
            if read is None:
                continue
            try:
                value = read()
            except Exception:  # noqa: BLE001  one broken number must not hide all the others
                self._on_failure(spec.name)
                continue
            yield _family(spec, {(): value})
        if self.gauges.spool is not None:
            try:
                stats = self.gauges.spool()
            except Exception:  # noqa: BLE001  as above
                self._on_failure("edgeclient_spool")
            else:
                yield from spool_families(stats)
        yield from self._parts()

    def _parts(self) -> Iterator[Metric]:
        """Counts that parts of the house keep as they are."""
        gauges = self.gauges
        if gauges.cache is not None:
            yield from cache_families(gauges.cache())
        if gauges.quota is not None:
            yield from quota_families(gauges.quota())
        if gauges.dispatch is not None:
            yield from dispatch_families(gauges.dispatch())


def _family(spec: Spec, values: dict[tuple[str, ...], float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(spec.name, spec.help, labels=spec.labels)
    for labels, value in values.items():
        family.add_metric(labels, float(value))
    return family
