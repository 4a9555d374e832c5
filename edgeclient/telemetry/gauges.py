"""What is true at the moment of a scrape.

Numbers that a part of the house holds anyway are not copied here at every change but asked for at the scrape, through
the functions of `Gauges`. States that are only told by events (uplink, breaker, protocol, draining) are remembered.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from edgeclient.config.source import ConfigStanding
from edgeclient.core.cache import CacheStats
from edgeclient.core.events import Uplink
from edgeclient.core.half_price import OpenBatches
from edgeclient.core.jobs import SpoolStats
from edgeclient.core.route_events import Breaker
from edgeclient.telemetry import names, route_names
from edgeclient.telemetry.cache_metrics import cache_families
from edgeclient.telemetry.dispatch_metrics import DispatchView, dispatch_families
from edgeclient.telemetry.half_price_metrics import half_price_families
from edgeclient.telemetry.names import Spec
from edgeclient.telemetry.quota_metrics import QuotaView, quota_families
from edgeclient.telemetry.spool_metrics import spool_families

Read = Callable[[], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauges:
    """Functions that are asked at every scrape; they must be quick. None: there is no such thing here.

    Attributes:
        active_calls: Chats in progress.
        upstream_in_flight: Requests in progress, by target.
        certificate_expires_at_s: When the certificate of the port for devices expires, since the Unix epoch.
        spool: Counts of the durable queue.
        half_price: Batches at the provider that are not over, by state.
        cache: Counts of the cache.
        quota: How limits and budgets stand.
        dispatch: How the lines in front of the targets stand.
        config: Which configuration is in force.
    """

    active_calls: Read | None = None
    upstream_in_flight: Callable[[], Mapping[str, float]] | None = None
    certificate_expires_at_s: Read | None = None
    spool: Callable[[], SpoolStats] | None = None
    half_price: Callable[[], Mapping[str, OpenBatches]] | None = None
    cache: Callable[[], CacheStats] | None = None
    quota: Callable[[], QuotaView] | None = None
    dispatch: Callable[[], Iterable[DispatchView]] | None = None
    config: Callable[[], ConfigStanding] | None = None


class StateCollector(Collector):
    """The states of the node as gauges.

    Args:
        node_id: Name of the node.
        version: Version of the software.
        targets: Names of the targets; the way to each begins as unknown, its breaker as closed.
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
        self.breakers = dict.fromkeys(self.uplinks, Breaker.CLOSED)
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
        yield _family(
            route_names.BREAKER_STATE,
            {(target, state.value): state is now for target, now in self.breakers.items() for state in Breaker},
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
                value = _labelled(read())
            except Exception:  # noqa: BLE001  one broken number must not hide all the others
                self._on_failure(spec.name)
                continue
            yield _family(spec, value)
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
        if gauges.half_price is not None:
            yield from half_price_families(gauges.half_price())
        if gauges.cache is not None:
            yield from cache_families(gauges.cache())
        if gauges.quota is not None:
            yield from quota_families(gauges.quota())
        if gauges.dispatch is not None:
            yield from dispatch_families(gauges.dispatch())
        if gauges.config is not None:
            yield from _config_families(gauges.config())


def _labelled(value: float | Mapping[str, float]) -> dict[tuple[str, ...], float]:
    """A number by itself, or one for each target."""
    return {(target,): each for target, each in value.items()} if isinstance(value, Mapping) else {(): value}


def _config_families(standing: ConfigStanding) -> Iterator[Metric]:
    yield _family(names.CONFIG_INFO, {(standing.digest,): 1})
    yield _family(names.CONFIG_LOOKED, {(): standing.looked_s})
    yield _family(names.CONFIG_SUCCEEDED, {(): standing.succeeded})
    yield _family(names.CONFIG_WAITING, {(): standing.waiting_count})


def _family(spec: Spec, values: dict[tuple[str, ...], float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(spec.name, spec.help, labels=spec.labels)
    for labels, value in values.items():
        family.add_metric(labels, float(value))
    return family
