"""The commands of `jobs` that are an operator's alone.

A retry overrides the policy of who submitted the job, a check reads every byte, and another node key wants the files
to itself: none of it is for the API of devices.
"""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from edgeclient.cli.exit_codes import ExitCode
from edgeclient.cli.failure import Failure
from edgeclient.cli.job_view import flat, no_job, retries_table
from edgeclient.cli.jobs_door import NotDoneError
from edgeclient.cli.jobs_files import Files, files_required
from edgeclient.cli.output import printable, write_json
from edgeclient.config.setting import SettingError
from edgeclient.spool.job_view import View

_json_option = click.option("--json", "as_json", is_flag=True, help="For programs.")


@click.command("retry")
@click.argument("ids", nargs=-1, metavar="JOB...")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice(["uncertain", "dead", "failed", "expired"]),
    help="All jobs in this state that have their request, instead of named ones; may be repeated.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@_json_option
@files_required
def retry(*, ids: tuple[str, ...], states: tuple[str, ...], yes: bool, as_json: bool, files: Files) -> None:
    """Send jobs again that did not succeed: UNCERTAIN, DEAD, FAILED or EXPIRED ones.

    An UNCERTAIN job goes back into the queue as it is. It was perhaps billed already, and is billed again then.

    One that has ended stays as it is. Its request goes to a new job with an id of its own, the same caller,
    conversation, priority and label, and no idempotency key; the old job's error names it. The device that asked finds
    it among its jobs. There is nothing to send again where spool.keep_failed_requests is off, or was at the job's end.

    Each gets a fresh ttl and fresh attempts.
    """
    if bool(ids) == bool(states):
        raise click.UsageError("give job ids, or --state")
    chosen, gone, views, refusals = asyncio.run(_retried(files, ids, states, yes=yes))
    if as_json:
        write_json(views, indent=2)
    elif views:
        click.echo(printable(retries_table(views), sys.stdout))
    if not chosen:
        click.echo("no job to send again", err=True)
    if gone:
        click.echo(f"{gone} more cannot be sent again: their requests are not kept any more", err=True)
    if refusals:
        raise Failure(ExitCode.DATA, refusals[0], details=refusals[1:])


@click.command("verify")
@_json_option
@files_required
def verify(*, as_json: bool, files: Files) -> None:
    """Check the whole queue: the file, every checksum, every key, and that no job is missing.

    Exit code 65 if something is wrong. It repairs nothing: the daemon does at its start. A daemon that runs looks
    itself, and takes nothing into the queue meanwhile.
    """

    async def checked() -> View:
        async with files.door() as door:
            return await door.verified()

    report = asyncio.run(checked())
    problems, counts = report["problems"], report["counts"]
    if as_json:
        write_json({"problems": problems, **counts}, indent=2)
    else:
        click.echo("\n".join(f"{name + ':':<24}{value}" for name, value in flat(counts)))
        click.echo("sound" if not problems else "\n".join(f"PROBLEM {problem}" for problem in problems))
    if problems:
        raise click.exceptions.Exit(ExitCode.DATA)


@click.command("rekey")
@click.option(
    "--new-key-file",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="The next node key; make one with: openssl rand -base64 32",
)
@_json_option
@files_required
def rekey(*, new_key_file: Path, as_json: bool, files: Files) -> None:
    """Put another node key in place of the present one.

    The keys of all callers are wrapped anew, in one commit; content stays as it is. Then let
    spool.encryption_key_file name the new file, and start the daemon.
    """
    from edgeclient.spool.node_key import node_key  # noqa: PLC0415  as above
    from edgeclient.spool.offline_files import QueueUnusableError  # noqa: PLC0415
    from edgeclient.spool.vault import KeyedVault  # noqa: PLC0415

    try:
        successor = KeyedVault(node_key(new_key_file, setting="--new-key-file"))
    except SettingError as error:
        raise Failure(ExitCode.CONFIG, "the new node key cannot be used:", details=error.problems) from error
    with files.opened() as queue:
        try:
            count = queue.rekey(successor)
        except QueueUnusableError as error:
            raise Failure(ExitCode.CONFIG, str(error)) from error
    if as_json:
        write_json({"rekeyed": count})
    else:
        click.echo(f"rekeyed {count} caller(s); now set spool.encryption_key_file to {new_key_file}")


async def _retried(
    files: Files, ids: Sequence[str], states: Sequence[str], *, yes: bool
) -> tuple[Sequence[str], int, list[View], list[str]]:
    """Which jobs were chosen, how many have no request any more, what is sent again, and why the rest is not."""
    views: list[View] = []
    refusals: list[str] = []
    async with files.door() as door:
        chosen, gone = (list(ids), 0) if ids else await door.retryable(states)
        if chosen and not yes:
            click.confirm(
                f"Send {len(chosen)} job(s) again? What was perhaps billed already is billed again then.",
                abort=True,
                err=True,
            )
        for job_id in chosen:
            try:
                view = await door.retried(job_id)
            except NotDoneError as error:
                refusals.append(str(error))
                continue
            if view is None:
                refusals.append(no_job(job_id))
            else:
                views.append(view)
    return chosen, gone, views, refusals
