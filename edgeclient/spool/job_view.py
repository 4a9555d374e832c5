"""A job and the counts of the queue as an operator sees them: dictionaries, with the names of the API.

States, priorities and policies are the words of the API without their prefix, in lower case. Prompts and answers are
in it only where they are in the job.
"""

import datetime as dt
from collections.abc import Mapping
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message

from edgeclient.core.jobs import Job, JobState, SpoolStats
from edgeclient.v1 import chat_pb2

View = dict[str, Any]

_TIMES = ("create", "expire", "next_attempt", "end", "purge")


def view_of_row(job: Job) -> View:
    """A job as the files hold it: with its caller, and with the states of the queue itself."""
    view: View = {
        "id": job.id,
        "caller": job.caller,
        "kind": job.kind.name.lower(),
        "state": job.state.name.lower(),
        "priority": priority_word(job.priority),
        "attempt_count": job.attempt_count,
        "revision": str(job.revision),
        "idempotency_key": job.idempotency_key,
        "conversation_id": job.conversation_id,
        "label": job.label,
        "resend_policy": job.resend_policy.name.lower(),
        "batch_id": job.batch_id,
    }
    view |= {f"{name}_time": _time(moment) for name in _TIMES if (moment := getattr(job, f"{name}_ms"))}
    parts: Mapping[str, Message | None] = {"request": job.request, "response": job.response, "error": job.error}
    view |= {name: _message(part) for name, part in parts.items() if part is not None}
    return {name: value for name, value in view.items() if value != ""}


def view_of_retried(job: Job, *, retry_of: str, was: JobState) -> View:
    """What is sent again, instead of which job, and the state that this one was in."""
    return view_of_row(job) | {"retry_of": retry_of, "was": was.name.lower()}


def view_of_stats(stats: SpoolStats) -> View:
    """All counts."""
    return {
        "by_state": {state.name.lower(): count for state, count in stats.by_state.items()},
        "accepted_total": stats.accepted_total,
        "purged_total": stats.purged_total,
        "uncertain_total": stats.uncertain_total,
        "resent_total": stats.resent_total,
        "lost_total": stats.lost_total,
        "bytes_used": stats.bytes_used,
        "free_bytes": stats.free_bytes,
    }


def priority_word(number: int) -> str:
    """The word for a priority of the API."""
    value = chat_pb2.Priority.DESCRIPTOR.values_by_number.get(number)
    return value.name.removeprefix("PRIORITY_").lower() if value else str(number)


def _time(moment_ms: int) -> str:
    moment = dt.datetime.fromtimestamp(moment_ms / 1000, dt.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _message(message: Message) -> View:
    return json_format.MessageToDict(message, preserving_proto_field_name=True)
