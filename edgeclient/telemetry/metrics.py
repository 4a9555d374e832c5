"""The table from events to metrics, and the page that Prometheus reads.

Callers are no label but of what has to be paid for (`quota_metrics.py`), where only the first hundred are told apart: a
fleet has thousands of them and a series lives until the process ends; who asked is in the log.
Everything is changed and read on the thread of the event loop; a scrape of 1,500 lines takes it less than 1 ms.
"""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from edgeclient.core.cache_events import CacheStoreBack, PreparedChanged, PreparedUnusable
from edgeclient.core.dispatch_events import WidthRestored
from edgeclient.core.events import (
    AttemptFinished,
    CallFinished,
    CallShed,
    DefectFound,
    Event,
    KeyChanged,
    KeyRefused,
    KeyUnreadable,
    ProtocolNegotiated,
    RetryScheduled,
    RpcFinished,
    UplinkChanged,
)
from edgeclient.core.job_events import (
    SpoolRecovered,
    SpoolResumed,
)
from edgeclient.core.node_events import (
    CertificateChanged,
    CertificateUnreadable,
    ConfigRejected,
    ConfigReloaded,
    NodeDraining,
    NodeStarted,
    NodeStopped,
)
from edgeclient.core.route_events import TargetTakenBack
from edgeclient.telemetry import names
from edgeclient.telemetry.cache_metrics import CacheMetrics
from edgeclient.telemetry.call_metrics import AttemptMetrics, CallMetrics, RpcMetrics
from edgeclient.telemetry.dispatch_metrics import DispatchMetrics
from edgeclient.telemetry.fanout import Subscriber
from edgeclient.telemetry.gauges import Gauges, StateCollector
from edgeclient.telemetry.half_price_metrics import HalfPriceMetrics
from edgeclient.telemetry.instruments import Instruments
from edgeclient.telemetry.quota_metrics import QuotaMetrics
from edgeclient.telemetry.route_metrics import RouteMetrics
from edgeclient.telemetry.spool_metrics import SpoolMetrics
from edgeclient.telemetry.vocabulary import Vocabulary

_PROCESS = (ProcessCollector, PlatformCollector, GCCollector)
_SPARE_MODELS = 32  # dated snapshots that may have series of their own beside the catalogue
_OPENMETRICS = "application/openmetrics-text"
_RELOADABLE = ("config", "key", "certificate")

UNMEASURED: frozenset[type[Event]] = frozenset(
    {
        NodeStopped,  # nobody scrapes a process that has ended
        KeyRefused,  # its attempts are counted with their reason
        SpoolRecovered,  # the failure was counted when it began
        SpoolResumed,  # the pause was counted when it began
        CacheStoreBack,  # the loss was counted when it began
        WidthRestored,  # the width is a gauge
        TargetTakenBack,  # that it was set aside was counted when it began
    }
)
"""Events that change no metric."""


class Metrics:
    """All metrics of the node.

    Args:
        node_id: Name of the node.
        version: Version of the software.
        models: Ids of the models of this node; these always have series of their own.
        targets: Names of the targets.
        stability_opt_in: Value of OTEL_SEMCONV_STABILITY_OPT_IN.

    Attributes:
        registry: All the metrics, for who wants values rather than a page.
        table: What is done with each type of event.
    """

    def __init__(
        self,
        *,
        node_id: str,
        version: str,
        models: Iterable[str] = (),
        targets: Iterable[str] = (),
        stability_opt_in: str = "",
    ) -> None:
        self.registry = CollectorRegistry()
        self._instruments = make = Instruments(self.registry)
        self._others = CollectorRegistry()
        vocabulary = Vocabulary(models, spare=_SPARE_MODELS)
        self._failures = make.counter(names.SUBSCRIBER_FAILURES)
        self._retries = make.counter(names.RETRIES)
        self._retry_delay = make.histogram(names.RETRY_DELAY).cell()
        self._shed = make.counter(names.SHED)
        self._reloads = make.counter(names.RELOADS)
        self._uplink_changes = make.counter(names.UPLINK_CHANGES)
        self._defects = make.counter(names.DEFECTS)
        self._attempts = AttemptMetrics(make, vocabulary)
        self._quota = QuotaMetrics(make)
        self._state = StateCollector(node_id=node_id, version=version, targets=targets, on_failure=self._gauge_failed)
        self.table: dict[type[Event], Subscriber] = {
            NodeStarted: self._node_started,
            NodeDraining: self._node_draining,
            RpcFinished: RpcMetrics(make).finished,
            CallFinished: CallMetrics(make, names.gen_ai_names(stability_opt_in), vocabulary).finished,
            AttemptFinished: self._attempt_finished,
            RetryScheduled: self._retry_scheduled,
            CallShed: lambda event: self._shed.cell(event.limit).add(),
            UplinkChanged: self._uplink_changed,
            ProtocolNegotiated: self._protocol_negotiated,
            DefectFound: lambda event: self._defects.cell(event.where).add(),
            **self._reload_rows(),
            **SpoolMetrics(make).table,
            **CacheMetrics(make).table,
            **DispatchMetrics(make).table,
            **HalfPriceMetrics(make).table,
            **RouteMetrics(make, vocabulary, breakers=self._state.breakers).table,
            **self._quota.table,
        }
        self._others.register(self._state)
        process: list[Collector] = [kind(registry=self._others) for kind in _PROCESS]
        for collector in (self._state, *process):
            self.registry.register(collector)

    def read_at_scrape(self, gauges: Gauges) -> None:
        """From now on ask these functions at every scrape; given once the parts they ask exist."""
        self._state.gauges = gauges

    def subscriber_failed(self, subscriber: str, event: str, error: Exception) -> None:  # noqa: ARG002  one signature
        """Count a fact that an outlet could not take."""
        self._failures.cell(subscriber, event).add()

    def page(self, accept: str) -> tuple[str, bytes]:
        """Content type and text of all metrics, as OpenMetrics if the header `Accept` names it."""
        named = [part.partition(";")[0].strip() for part in accept.split(",")]
        if _OPENMETRICS in named:
            others: bytes = openmetrics.generate_latest(self._others)  # type: ignore[no-untyped-call]  # theirs
            return openmetrics.CONTENT_TYPE_LATEST, self._instruments.text(openmetrics=True).encode() + others
        return CONTENT_TYPE_PLAIN_0_0_4, self._instruments.text(openmetrics=False).encode() + generate_latest(
            self._others
        )

    def _reload_rows(self) -> dict[type[Event], Subscriber]:
        """Files that changed while running."""
        for kind in _RELOADABLE:
            for outcome in ("success", "failure"):
                self._reloads.declare(kind, outcome)
        return {
            ConfigReloaded: lambda _: self._reloads.cell("config", "success").add(),
            ConfigRejected: lambda _: self._reloads.cell("config", "failure").add(),
            KeyChanged: lambda _: self._reloads.cell("key", "success").add(),
            KeyUnreadable: lambda _: self._reloads.cell("key", "failure").add(),
            CertificateChanged: lambda _: self._reloads.cell("certificate", "success").add(),
            CertificateUnreadable: lambda _: self._reloads.cell("certificate", "failure").add(),
            PreparedChanged: lambda _: self._reloads.cell("prepared", "success").add(),
            PreparedUnusable: lambda _: self._reloads.cell("prepared", "failure").add(),
        }

    def _gauge_failed(self, name: str) -> None:
        self._failures.cell("gauges", name).add()

    def _node_started(self, event: NodeStarted) -> None:
        self._state.startup_s = event.startup_s

    def _node_draining(self, event: NodeDraining) -> None:  # noqa: ARG002  that it happened is all
        self._state.draining = True

    def _attempt_finished(self, event: AttemptFinished) -> None:
        self._attempts.finished(event)
        self._quota.attempt(event)

    def _retry_scheduled(self, event: RetryScheduled) -> None:
        self._retries.cell(event.reason).add()
        self._retry_delay.observe(event.delay_s)

    def _uplink_changed(self, event: UplinkChanged) -> None:
        self._state.uplinks[event.target] = event.after
        self._uplink_changes.cell(event.target, event.after.value).add()

    def _protocol_negotiated(self, event: ProtocolNegotiated) -> None:
        self._state.protocols[event.target] = event.protocol
