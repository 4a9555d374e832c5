from math import inf

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client import Histogram as LibraryHistogram

from edgeclient.telemetry.names import Spec
from edgeclient.telemetry.series import Counter, Histogram

SECONDS = Spec(name="wait_seconds", help="Wait.", labels=("kind",), buckets=(0.1, 1.0, 10.0))


def test_histogram_counts_exactly_as_the_library_does() -> None:
    values = [0.0, 0.1, 0.1000001, 0.5, 1.0, 9.9, 10.0, 10.1, 1e9]
    ours, registry = Histogram(SECONDS), CollectorRegistry()
    theirs = LibraryHistogram("wait_seconds", "Wait.", ["kind"], registry=registry, buckets=(*SECONDS.buckets, inf))
    for value in values:
        ours.cell("a").observe(value)
        theirs.labels("a").observe(value)

    ours_registry = CollectorRegistry()
    ours_registry.register(ours)
    expected = {
        (sample.name, sample.labels.get("le")): sample.value
        for family in registry.collect()
        for sample in family.samples
        if not sample.name.endswith("_created")
    }
    actual = {
        (sample.name, sample.labels.get("le")): sample.value
        for family in ours_registry.collect()
        for sample in family.samples
    }
    assert expected == actual


def test_unused_series_is_not_shown_unless_declared() -> None:
    counter = Counter(Spec(name="things", help="Things.", labels=("kind",)))
    counter.cell("unused")
    counter.declare("rare")
    counter.cell("used").add(2)

    (family,) = counter.collect()

    assert {sample.labels["kind"]: sample.value for sample in family.samples} == {"rare": 0, "used": 2}


def test_same_labels_are_the_same_series() -> None:
    histogram = Histogram(SECONDS)

    assert histogram.cell("a") is histogram.cell("a")
    assert histogram.cell("a") is not histogram.cell("b")


@pytest.mark.parametrize("instrument", [Counter(SECONDS), Histogram(SECONDS)])
def test_wrong_number_of_labels_is_a_clear_error(instrument: Counter | Histogram) -> None:
    with pytest.raises(ValueError, match="wait_seconds has the labels"):
        instrument.cell("a", "b")
