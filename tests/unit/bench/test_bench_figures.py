"""The arithmetic of the measurement: wrong numbers look exactly like right ones."""

import pytest
from bench.figures import median, quantile
from bench.results import DAEMON, ECHO, ENGINE, JOINED, TRANSPORT, Load, Results, Sample, Soak
from bench.table import text

LOAD = Load(method="unary", in_flight=50)


def sample(cpu_us: float, *, failures: int = 0) -> Sample:
    return Sample(
        cpu_us=cpu_us,
        calls_per_s=1000,
        p50_ms=20,
        p99_ms=40,
        calls=100,
        failures=failures,
        failure="UNAVAILABLE" if failures else "",
        busy=0.5,
        others=0.1,
    )


def results(daemon_us: tuple[float, ...], *, failures: int = 0) -> Results:
    rounds = len(daemon_us)
    subjects = {
        DAEMON: [sample(cpu_us, failures=failures) for cpu_us in daemon_us],
        JOINED: [sample(400)] * rounds,
        ECHO: [sample(250)] * rounds,
        TRANSPORT: [sample(150)] * rounds,
        ENGINE: [sample(100)] * rounds,
    }
    return Results(machine="a machine", samples={LOAD: subjects}, rss_idle_mb=60, rss_loaded_mb=70)


@pytest.mark.parametrize(("values", "expected"), [([3.0, 1.0, 2.0], 2.0), ([4.0, 1.0, 2.0, 3.0], 2.5), ([7.0], 7.0)])
def test_median_is_the_middle(values: list[float], expected: float) -> None:
    assert expected == median(values)


def test_quantile_is_the_value_below_which_the_share_lies() -> None:
    ordered = [float(number) for number in range(100)]

    assert 50.0 == quantile(ordered, 0.50)
    assert 99.0 == quantile(ordered, 0.99)
    assert 99.0 == quantile(ordered, 1.0)
    assert 0.0 == quantile([], 0.5)


def test_ratio_is_made_in_each_round() -> None:
    assert 1.5 == results((400, 600, 4000)).ratio(DAEMON, ECHO, TRANSPORT, load=LOAD)


def test_growth_is_that_of_the_second_half() -> None:
    soak = Soak(
        calls=4, cancelled=0, failures=0, failure="", rss_mb=[(0, 50.0), (1, 60.0), (2, 61.0), (3, 61.5), (4, 62.0)]
    )

    assert 1.0 == soak.growth_mb


@pytest.mark.parametrize(("daemon_us", "verdict"), [(500.0, "yes"), (600.0, "NO")])
def test_table_says_whether_a_goal_was_reached(daemon_us: float, verdict: str) -> None:
    [line] = [
        line for line in text(results((daemon_us,)), markdown=False).splitlines() if "echo + transport, 50" in line
    ]

    assert verdict == line.split()[-1]


def test_failed_calls_stand_in_the_table_with_their_cause() -> None:
    assert "2: UNAVAILABLE" in text(results((500,), failures=2), markdown=False)


def test_markdown_has_as_many_cells_in_each_row() -> None:
    lines = text(results((500,)), markdown=True).splitlines()
    [head] = [at for at, line in enumerate(lines) if line.startswith("| in flight")]

    assert {lines[head].count("|")} == {line.count("|") for line in lines[head : head + 5]}
