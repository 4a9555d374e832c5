"""What was measured, as it goes into the table, the plot and the JSON file."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.figures import median

DAEMON, ECHO, TRANSPORT, ENGINE = "edgeclient serve", "grpc.aio echo", "our transport", "pyreqwest alone"
JOINED = "echo + pyreqwest in one"
SUBJECTS = (DAEMON, JOINED, ECHO, TRANSPORT, ENGINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is asked for, and by how many.

    Attributes:
        method: `unary`, `unary-long` (a whole answer that the provider streams) or `stream`.
        in_flight: Callers.
    """

    method: str
    in_flight: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One subject under one load in one round.

    Attributes:
        cpu_us: CPU of the whole process per call.
        calls_per_s: Throughput.
        p50_ms: Latency that half of the calls kept.
        p99_ms: Latency that 99 of 100 kept.
        calls: Calls that were answered.
        failures: Calls that were not.
        failure: The first of these.
        busy: Share of its core that the subject used.
        others: Share of that core that other processes used; what disturbs a measurement.
        pieces: Messages per stream that reached the caller; 0 if nobody counted.
    """

    cpu_us: float
    calls_per_s: float
    p50_ms: float
    p99_ms: float
    calls: int
    failures: int
    failure: str
    busy: float
    others: float
    pieces: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Startup:
    """Seconds from exec, medians.

    Attributes:
        listening_s: Until the port took a connection.
        answered_s: Until the first call was answered, the provider's time included.
        python_s: A bare interpreter, begun and ended: the floor.
        import_s: The same with everything that `serve` imports.
        heaviest: Packages whose import takes longest, with their own milliseconds, that of others left out.
    """

    listening_s: float
    answered_s: float
    python_s: float
    import_s: float
    heaviest: Sequence[tuple[str, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Soak:
    """Many calls, some of them cancelled.

    Attributes:
        calls: Calls, cancelled ones included.
        cancelled: Calls whose caller left.
        failures: Calls that failed otherwise than on purpose.
        failure: The first of these.
        rss_mb: Memory after this many calls.
    """

    calls: int
    cancelled: int
    failures: int
    failure: str
    rss_mb: Sequence[tuple[int, float]]

    @property
    def growth_mb(self) -> float:
        """From the middle to the end: the first half fills caches and arenas, a leak goes on."""
        return self.rss_mb[-1][1] - self.rss_mb[len(self.rss_mb) // 2][1]


@dataclass(slots=True, kw_only=True)
class Results:
    """Everything.

    Attributes:
        machine: What it was measured on.
        samples: Rounds of each subject under each load.
        rss_idle_mb: The daemon, serving, with its connection: after one call.
        rss_loaded_mb: The daemon after all rounds.
        startup: None if not measured.
        soak: None if not measured.
    """

    machine: str
    samples: dict[Load, dict[str, list[Sample]]] = field(default_factory=dict)
    rss_idle_mb: float = 0.0
    rss_loaded_mb: float = 0.0
    startup: Startup | None = None
    soak: Soak | None = None

    def ratio(self, of: str, *floors: str, load: Load) -> float:
        """CPU of a subject to that of the floors together, made in each round, the median of the rounds."""
        rounds = zip(*(self.samples[load][name] for name in (of, *floors)), strict=True)
        return median([whole.cpu_us / sum(floor.cpu_us for floor in below) for whole, *below in rounds])
