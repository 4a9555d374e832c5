from typing import Any

from edgeclient.core.events import Event
from edgeclient.core.job_events import JobFinished, JobStarted, SpoolPaused, SpoolResumed
from edgeclient.core.jobs import JobState, SpoolStats
from edgeclient.telemetry.gauges import Gauges
from edgeclient.telemetry.line import Choice
from edgeclient.telemetry.lines import (
    JOB_ENDED,
    JOB_LOST,
    LINES,
    MODEL_PAUSED,
    MODEL_RESUMED,
    PAUSED,
    RESUMED,
)
from edgeclient.telemetry.metrics import Metrics


def metrics(*events: Event) -> Metrics:
    made = Metrics(node_id="box-1", version="1.2.3")
    for event in events:
        made.table[type(event)](event)
    return made


def value(made: Metrics, name: str, **labels: str) -> float | None:
    return made.registry.get_sample_value(name, labels)


def finished(**over: Any) -> JobFinished:
    facts: dict[str, Any] = {
        "job_id": "01JOB",
        "caller": "device-7",
        "state": "succeeded",
        "reason": "",
        "attempt_count": 1,
        "age_s": 2.0,
        "possibly_billed": False,
    }
    return JobFinished(**(facts | over))


def test_wait_is_told_by_priority() -> None:
    made = metrics(JobStarted(job_id="01JOB", priority="low", wait_s=30.0))

    assert 30.0 == value(made, "edgeclient_spool_wait_seconds_sum", priority="low")


def test_ends_are_counted_by_state_and_fault() -> None:
    made = metrics(finished(), finished(state="uncertain", reason="OUTCOME_UNKNOWN", possibly_billed=True))

    name = "edgeclient_spool_jobs_finished_total"
    assert 1 == value(made, name, state="succeeded", error_type="", fault_domain="")
    assert 1 == value(made, name, state="uncertain", error_type="OUTCOME_UNKNOWN", fault_domain="provider")
    assert 1 == value(made, "edgeclient_spool_jobs_possibly_billed_total")


def test_pauses_are_counted_by_cause() -> None:
    made = metrics(SpoolPaused(cause="UPSTREAM_CREDENTIALS", problem="wrong key"))

    assert 1 == value(made, "edgeclient_spool_pauses_total", cause="UPSTREAM_CREDENTIALS")


def test_pause_of_one_model_is_told_with_its_name() -> None:
    paused, resumed = LINES[SpoolPaused], LINES[SpoolResumed]
    assert isinstance(paused, Choice)
    assert isinstance(resumed, Choice)

    assert MODEL_PAUSED is paused.pick(SpoolPaused(cause="MODEL_NOT_FOUND", problem="no", model="qwen-max"))
    assert MODEL_RESUMED is resumed.pick(SpoolResumed(cause="MODEL_NOT_FOUND", duration_s=1.0, model="qwen-max"))
    assert PAUSED is paused.pick(SpoolPaused(cause="UPSTREAM_CREDENTIALS", problem="no"))
    assert RESUMED is resumed.pick(SpoolResumed(cause="UPSTREAM_CREDENTIALS", duration_s=1.0))


def test_counts_of_the_queue_are_read_at_the_scrape() -> None:
    made = metrics()
    assert value(made, "edgeclient_spool_accepted_total") is None

    stats = SpoolStats(by_state={JobState.QUEUED: 2}, accepted_total=5, purged_total=3, bytes_used=7, free_bytes=9)
    made.read_at_scrape(Gauges(spool=lambda: stats))

    assert (2, 0) == tuple(value(made, "edgeclient_spool_rows", state=state) for state in ("queued", "dead"))
    assert (5, 3) == tuple(value(made, f"edgeclient_spool_{name}_total") for name in ("accepted", "purged"))
    assert (7, 9) == tuple(value(made, f"edgeclient_spool_{name}") for name in ("bytes", "free_bytes"))


def test_queue_that_cannot_be_asked_hides_no_other_number() -> None:
    made = metrics()

    def broken() -> SpoolStats:
        raise OSError

    made.read_at_scrape(Gauges(active_calls=lambda: 3, spool=broken))

    assert 3 == value(made, "edgeclient_active_calls")
    assert value(made, "edgeclient_spool_accepted_total") is None


def test_only_an_end_that_somebody_should_look_at_is_a_warning() -> None:
    row = LINES[JobFinished]
    assert isinstance(row, Choice)

    assert JOB_ENDED is row.pick(finished())
    assert JOB_ENDED is row.pick(finished(state="cancelled", reason="CANCELLED"))
    assert JOB_ENDED is row.pick(finished(state="failed", reason="INVALID_REQUEST"))
    assert JOB_LOST is row.pick(finished(state="expired", reason="DEADLINE"))
    assert JOB_LOST is row.pick(finished(state="uncertain", reason="OUTCOME_UNKNOWN"))
    assert JOB_LOST is row.pick(finished(state="dead", reason="UPSTREAM_UNAVAILABLE"))
