"""Names of the metrics of the durable queue; the others, and the rules for all, are in `names.py`."""

from typing import Final

from edgeclient.telemetry.names import FAILURE, Spec

JOB_SECONDS: Final = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 43_200.0, 86_400.0, 604_800.0)
SPOOL_WAIT: Final = Spec(
    name="edgeclient_spool_wait_seconds",
    help="Time of a stored job from its acceptance to its first attempt.",
    labels=("priority",),
    buckets=JOB_SECONDS,
)
SPOOL_AGE: Final = Spec(
    name="edgeclient_spool_job_duration_seconds",
    help="Time of a stored job from its acceptance to its end, by the state it ended in.",
    labels=("state",),
    buckets=JOB_SECONDS,
)
SPOOL_FINISHED: Final = Spec(
    name="edgeclient_spool_jobs_finished", help="Stored jobs that have ended.", labels=("state", *FAILURE)
)
SPOOL_POSSIBLY_BILLED: Final = Spec(
    name="edgeclient_spool_jobs_possibly_billed",
    help="Stored jobs that ended without an answer and may have been billed all the same.",
)
SPOOL_PAUSES: Final = Spec(
    name="edgeclient_spool_pauses",
    help="Times that stored jobs were not sent for a reason that concerned all of them, or all of one model.",
    labels=("cause",),
)
SPOOL_STORAGE_FAILURES: Final = Spec(
    name="edgeclient_spool_storage_failures",
    help="Times that the storage of the queue could not be used, was found damaged, or had lost commits.",
    labels=("kind",),
)
SPOOL_ROWS: Final = Spec(
    name="edgeclient_spool_rows", help="Requests in the durable queue, by state.", labels=("state",)
)
SPOOL_ACCEPTED: Final = Spec(
    name="edgeclient_spool_accepted",
    help="Requests accepted since the queue was created: those in it and those purged from it.",
)
SPOOL_PURGED: Final = Spec(
    name="edgeclient_spool_purged", help="Requests purged from the queue after their end, since it was created."
)
SPOOL_UNCERTAIN: Final = Spec(
    name="edgeclient_spool_uncertain", help="Attempts of unknown outcome since the queue was created."
)
SPOOL_RESENT: Final = Spec(
    name="edgeclient_spool_resent", help="Repeats of attempts of unknown outcome since the queue was created."
)
SPOOL_LOST: Final = Spec(
    name="edgeclient_spool_lost",
    help="Requests lost with a damaged file or with commits that are missing, since the queue was created.",
)
SPOOL_BYTES: Final = Spec(name="edgeclient_spool_bytes", help="Size of the content in the durable queue.")
SPOOL_FREE_BYTES: Final = Spec(
    name="edgeclient_spool_free_bytes", help="Room left in the durable queue, by its limits and on the disk."
)
