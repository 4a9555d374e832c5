"""`edgeclient jobs`: see what the durable queue holds, and mend it.

By default a command asks the running node at --address as a device would, and sees the caller's own jobs. With
--directory or --config it is an operator's, and sees the jobs of all callers: through the daemon while it runs, in the
files themselves while it does not.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import click

from edgeclient.cli.connection import Connection, connection_options
from edgeclient.cli.exit_codes import exit_code_help
from edgeclient.cli.job_view import flat, found, jobs_table, tell
from edgeclient.cli.jobs_door import FILE_STATES, NODE_STATES, JobsDoor
from edgeclient.cli.jobs_files import Files, files_options
from edgeclient.cli.jobs_mend import rekey, retry, verify
from edgeclient.cli.jobs_node import node_door
from edgeclient.cli.output import printable, write_json
from edgeclient.spool.job_view import View

Result = TypeVar("Result")

_EXAMPLES = """\b
Examples:
  edgeclient jobs ls --state failed               of the running node, your own
  edgeclient jobs show 0197f7c2 --content
  edgeclient jobs export > jobs.jsonl
  edgeclient jobs ls --config /etc/edgeclient/edgeclient.toml --state uncertain
  edgeclient jobs retry --state uncertain         of all callers; may be billed twice
  edgeclient jobs retry --state dead --state failed --yes
  edgeclient jobs verify --directory /var/lib/edgeclient/spool
"""
_states_option = click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice(list(dict.fromkeys(NODE_STATES + FILE_STATES)), case_sensitive=False),
    help="Only jobs in this state; may be repeated.",
)
_caller_option = click.option("--caller", default="", help="Only jobs of this caller; for operators.")
_json_option = click.option("--json", "as_json", is_flag=True, help="For programs.")
_content_option = click.option("--content", is_flag=True, help="Prompts and answers too.")
_yes_option = click.option("--yes", is_flag=True, help="Do not ask.")
_ids_argument = click.argument("ids", nargs=-1, metavar="JOB...")


@click.group(epilog=f"{_EXAMPLES}\n{exit_code_help()}")
def jobs() -> None:
    """See and mend the durable queue.

    A command asks the running node at --address and sees your own jobs. With --directory or --config it sees the jobs
    of all callers: through the daemon that has the files, or in the files of a stopped one. `retry`, `verify` and
    `erase --caller` are for operators only, and so is `rekey`, which wants the daemon stopped.
    """


jobs.add_command(retry)
jobs.add_command(verify)
jobs.add_command(rekey)


@jobs.command("ls")
@_states_option
@_caller_option
@click.option("--limit", "-n", type=click.IntRange(0), default=50, show_default=True, help="At most so many; 0: all.")
@_json_option
@files_options
@connection_options
def ls(
    *, states: tuple[str, ...], caller: str, limit: int, as_json: bool, files: Files | None, connection: Connection
) -> None:
    """List jobs, newest first."""

    async def listed(door: JobsDoor) -> list[View]:
        return [view async for view in door.listed(states=states, caller=caller, limit=limit, content=False)]

    views = _with_door(files, connection, listed, states=states, caller=caller)
    if as_json:
        write_json(views, indent=2)
    else:
        click.echo(printable(jobs_table(views), sys.stdout))


@jobs.command("show")
@click.argument("job_id", metavar="JOB")
@_content_option
@_json_option
@files_options
@connection_options
def show(*, job_id: str, content: bool, as_json: bool, files: Files | None, connection: Connection) -> None:
    """Show all that is known of a job."""
    view = found(_with_door(files, connection, lambda door: door.shown(job_id, content=content)), job_id)
    if as_json:
        write_json(view, indent=2)
    else:
        for name, value in view.items():
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            click.echo(printable(f"{name + ':':<18}{text}", sys.stdout))


@jobs.command("cancel")
@_ids_argument
@_json_option
@files_options
@connection_options
def cancel(*, ids: tuple[str, ...], as_json: bool, files: Files | None, connection: Connection) -> None:
    """Ask for the end of jobs.

    A running attempt may still succeed, so look at the state that is told.
    """
    _need_some(ids)

    async def cancelled(door: JobsDoor) -> list[View]:
        return [found(await door.cancelled(job_id), job_id) for job_id in ids]

    tell(_with_door(files, connection, cancelled), as_json=as_json)


@jobs.command("export")
@_states_option
@_caller_option
@click.option("--output", "-o", type=click.File("w", encoding="utf-8"), default="-", help="JSONL. [default: stdout]")
@click.option("--json", "as_json", is_flag=True, help="Accepted for uniformity: the output is always JSON lines.")
@files_options
@connection_options
def export(
    *, states: tuple[str, ...], caller: str, output: Any, as_json: bool, files: Files | None, connection: Connection
) -> None:
    """Write all jobs with their content, a JSON object per line, newest first.

    Through the node: answers only, because its API does not tell requests. Out of the files: requests too, as long as
    they are kept.
    """
    del as_json

    async def exported(door: JobsDoor) -> None:
        async for view in door.listed(states=states, caller=caller, limit=0, content=True):
            output.write(json.dumps(view, ensure_ascii=False) + "\n")

    _with_door(files, connection, exported, states=states, caller=caller)


@jobs.command("erase")
@_ids_argument
@_caller_option
@_yes_option
@_json_option
@files_options
@connection_options
def erase(
    *, ids: tuple[str, ...], caller: str, yes: bool, as_json: bool, files: Files | None, connection: Connection
) -> None:
    """Destroy the content of jobs, or of all jobs of a --caller together with its key.

    A job that is not finished is cancelled first. An unknown job is not an error. There is no way back. With --caller
    its answers go out of the cache as well; that takes --config, for a folder alone does not say where they are.
    """
    if bool(ids) == bool(caller):
        raise click.UsageError("give job ids, or --caller")
    _need_files(files, "--caller", is_used=bool(caller))
    if not yes:
        what = f"everything of caller {caller!r}" if caller else f"{len(ids)} job(s)"
        click.confirm(f"Destroy {what} for ever?", abort=True, err=True)
    if caller and files is not None:
        count = asyncio.run(_erased_caller(files, caller))
    else:

        async def erased(door: JobsDoor) -> int:
            for job_id in ids:
                await door.erased(job_id)
            return len(ids)

        count = _with_door(files, connection, erased)
    if as_json:
        write_json({"erased": count})
    else:
        click.echo(f"erased {count}")


async def _erased_caller(files: Files, caller: str) -> int:
    async with files.door() as door:
        return await door.erased_caller(caller)


@jobs.command("stats")
@_json_option
@files_options
@connection_options
def stats(*, as_json: bool, files: Files | None, connection: Connection) -> None:
    """Count what the queue holds, of all callers."""
    counts = _with_door(files, connection, lambda door: door.counted())
    if as_json:
        write_json(counts, indent=2)
    else:
        click.echo("\n".join(f"{name + ':':<24}{value}" for name, value in flat(counts)))


def _with_door(
    files: Files | None,
    connection: Connection,
    ask: Callable[[JobsDoor], Awaitable[Result]],
    *,
    states: Sequence[str] = (),
    caller: str = "",
) -> Result:
    """Ask through the files if they are given, else through the node."""
    _need_files(files, "--caller", is_used=bool(caller))
    known = NODE_STATES if files is None else FILE_STATES
    if strange := [state for state in states if state not in known]:
        where = "the node's API; add --config or --directory" if files is None else "the files"
        raise click.UsageError(f"--state {strange[0]} is none of {where}. There: {', '.join(known)}")

    async def asked() -> Result:
        async with node_door(connection) if files is None else files.door() as door:
            return await ask(door)

    return asyncio.run(asked())


def _need_files(files: Files | None, option: str, *, is_used: bool) -> None:
    if is_used and files is None:
        raise click.UsageError(f"{option} is for operators: add --config or --directory")


def _need_some(ids: Sequence[str]) -> None:
    if not ids:
        raise click.UsageError("give at least one job id")
