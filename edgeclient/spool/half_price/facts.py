"""The facts that follow from rows of batches and from what became of their lines."""

from collections.abc import Iterable, Iterator

from edgeclient.core.errors import reason_name
from edgeclient.core.events import Event
from edgeclient.core.half_price import OpenBatches
from edgeclient.core.half_price_events import BatchChanged, BatchLinesSettled
from edgeclient.core.job_events import JobFinished
from edgeclient.core.jobs import TERMINAL, Job, JobState
from edgeclient.core.ports import Clock
from edgeclient.policy.provider_batch import MISSING, BatchState
from edgeclient.spool.half_price.batch_rows import Batch
from edgeclient.spool.half_price.bookings import Settled

ENDED = TERMINAL | {JobState.UNCERTAIN}


def changed(batch: Batch) -> Event:
    """A batch has come to its state."""
    return BatchChanged(
        batch=batch.name,
        batch_id=batch.batch_id,
        model=batch.model,
        state=batch.state.name.lower(),
        status=batch.status,
        line_count=batch.line_count,
    )


def counted(batches: Iterable[Batch]) -> dict[str, OpenBatches]:
    """How many there are in each state, by its name in lower case; those that are missing are by themselves."""
    lines: dict[str, list[int]] = {name: [] for name in (*(state.name.lower() for state in BatchState), MISSING)}
    for batch in batches:
        lines[MISSING if batch.status == MISSING else batch.state.name.lower()].append(batch.line_count)
    return {name: OpenBatches(batch_count=len(counts), line_count=sum(counts)) for name, counts in lines.items()}


def accounted(settled: Iterable[Settled], *, model: str, clock: Clock) -> Iterator[Event]:
    """Lines were accounted for: each answer, each job that has ended, and the sums."""
    sums: dict[tuple[str, str], tuple[int, int]] = {}
    for each in settled:
        currency, saved_nanos = "", 0
        if each.answered is not None:
            yield each.answered
            currency = each.answered.currency_code
            saved_nanos = max(0, each.answered.full_cost_nanos - each.answered.cost_nanos)
        if each.job is not None and each.job.state in ENDED:
            yield finished(each.job, model=model, clock=clock)
        count, sum_nanos = sums.get((each.outcome, currency), (0, 0))
        sums[each.outcome, currency] = count + 1, sum_nanos + saved_nanos
    for (outcome, currency), (count, sum_nanos) in sums.items():
        yield BatchLinesSettled(
            model=model, outcome=outcome, count=count, saved_nanos=sum_nanos, currency_code=currency
        )


def finished(job: Job, *, model: str, clock: Clock) -> Event:
    """A job has ended."""
    error = job.error
    return JobFinished(
        job_id=job.id,
        caller=job.caller,
        state=job.state.name.lower(),
        reason=reason_name(error.reason) if error is not None else "",
        attempt_count=job.attempt_count,
        age_s=max(0.0, clock.wall_s() - job.create_ms / 1000),
        possibly_billed=error is not None and error.possibly_billed,
        model=model,
    )
