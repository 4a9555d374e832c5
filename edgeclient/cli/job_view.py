"""How a job is shown, whether a node told it to its caller or the queue to an operator (`spool/job_view.py`)."""

import sys
from collections.abc import Iterator, Sequence
from typing import Any

import click

from edgeclient.cli.exit_codes import ExitCode
from edgeclient.cli.failure import Failure
from edgeclient.cli.output import message_json, printable, write_json
from edgeclient.cli.text_table import table
from edgeclient.spool.job_view import View, priority_word
from edgeclient.v1 import job_pb2

_HEADER = ("JOB", "STATE", "PRIORITY", "ATTEMPTS", "CREATED", "LABEL")
_RETRIES_HEADER = ("JOB", "WAS", "SENT AGAIN AS", "CALLER", "LABEL")
_LONGEST_LABEL = 40


def view_of_message(job: job_pb2.Job) -> View:
    """A job as the node tells it."""
    view = message_json(job)
    view["state"] = job_pb2.JobState.Name(job.state).removeprefix("JOB_STATE_").lower()
    view["priority"] = priority_word(job.priority)
    return view


def jobs_table(views: Sequence[View]) -> str:
    """Jobs as aligned columns, with the caller where it is known."""
    with_caller = any("caller" in view for view in views)
    header = (*_HEADER[:2], *(("CALLER",) if with_caller else ()), *_HEADER[2:])
    return table([header, *(_row(view, with_caller=with_caller) for view in views)])


def retries_table(views: Sequence[View]) -> str:
    """Which job was sent again as which; an uncertain one as itself."""
    rows = [(view["retry_of"], view["was"], view["id"], view["caller"], _label(view)) for view in views]
    return table([_RETRIES_HEADER, *rows])


def found(view: View | None, job_id: str) -> View:
    """The job.

    Raises:
        Failure: There is none.
    """
    if view is None:
        raise Failure(ExitCode.DATA, no_job(job_id))
    return view


def no_job(job_id: str) -> str:
    """That there is none with this id."""
    return f"there is no job {job_id!r}"


def tell(views: Sequence[View], *, as_json: bool) -> None:
    """Print jobs."""
    if as_json:
        write_json(views, indent=2)
    else:
        click.echo(printable(jobs_table(views), sys.stdout))


def flat(counts: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Names and values of nested counts."""
    for name, value in counts.items():
        if isinstance(value, dict):
            yield from flat({f"{name}.{key}": each for key, each in value.items()})
        else:
            yield name, value


def _row(view: View, *, with_caller: bool) -> tuple[str, ...]:
    return (
        view["id"],
        f"{view['state']} in {view['batch_id']}" if view.get("batch_id") else view["state"],
        *((view.get("caller", "-"),) if with_caller else ()),
        view["priority"],
        str(view.get("attempt_count", 0)),
        str(view.get("create_time", "-"))[: len("2026-01-01T00:00:00")],
        _label(view),
    )


def _label(view: View) -> str:
    label = str(view.get("label", "-"))
    return label if len(label) <= _LONGEST_LABEL else label[: _LONGEST_LABEL - 1] + "…"
