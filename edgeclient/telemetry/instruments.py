"""Makes the instruments of a registry from their specifications; the same specification gives the same instrument."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry

from edgeclient.telemetry.names import Spec
from edgeclient.telemetry.series import Counter, Histogram


class Instruments:
    """Makes and registers instruments.

    Args:
        registry: Where they are registered.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._counters: dict[str, Counter] = {}
        self._histograms: dict[str, Histogram] = {}

    def counter(self, spec: Spec) -> Counter:
        """The counter of this specification."""
        found = self._counters.get(spec.name)
        if found is None:
            found = self._counters[spec.name] = Counter(spec)
            self._registry.register(found)
        return found

    def histogram(self, spec: Spec) -> Histogram:
        """The histogram of this specification."""
        found = self._histograms.get(spec.name)
        if found is None:
            found = self._histograms[spec.name] = Histogram(spec)
            self._registry.register(found)
        return found

    def text(self, *, openmetrics: bool) -> str:
        """All of them as of now, as lines of a scrape."""
        instruments: list[Counter | Histogram] = [*self._counters.values(), *self._histograms.values()]
        return "".join([instrument.text(openmetrics=openmetrics) for instrument in instruments])

    def recorder(self, spec: Spec) -> Callable[..., Callable[[float], None]]:
        """Takes labels and gives the function that records a value there; a histogram if the metric has buckets."""
        if spec.buckets:
            histogram = self.histogram(spec)
            return lambda *labels: histogram.cell(*labels).observe
        counter = self.counter(spec)
        return lambda *labels: counter.cell(*labels).add
