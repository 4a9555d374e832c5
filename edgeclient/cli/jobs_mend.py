"""The commands of `jobs` that work on the files of a stopped node and in no other way.

A retry overrides the policy of who submitted the job, and a check reads every byte: neither is for the API of devices,
and neither may happen behind the back of a daemon.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from edgeclient.cli.exit_codes import ExitCode
from edgeclient.cli.failure import Failure
from edgeclient.cli.job_view import View, flat, no_job, retries_table, view_of_row
from edgeclient.cli.jobs_files import Files, files_required
from edgeclient.cli.output import printable, write_json
from edgeclient.config.setting import SettingError

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

    Works on the files of a stopped node only: stop it, retry, start it again. A restart keeps all jobs, and begins
    with them at once.

    An UNCERTAIN job goes back into the queue as it is. It was perhaps billed already, and is billed again then.

    One that has ended stays as it is. Its request goes to a new job with an id of its own, the same caller,
    conversation, priority and label, and no idempotency key; the old job's error names it. The device that asked finds
    it among its jobs. There is nothing to send again where spool.keep_failed_requests is off, or was at the job's end.

    Each gets a fresh ttl and fresh attempts.
    """
    if bool(ids) == bool(states):
        raise click.UsageError("give job ids, or --state")
    with files.opened() as queue:
        chosen, gone = (list(ids), 0) if ids else queue.retryable(states)
        if chosen and not yes:
            click.confirm(
                f"Send {len(chosen)} job(s) again? What was perhaps billed already is billed again then.",
                abort=True,
                err=True,
            )
        views, refusals = _retried(queue, chosen)
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

    Exit code 65 if something is wrong. It repairs nothing: the daemon does at its start.
    """
    from edgeclient.spool.verification import verified  # noqa: PLC0415  not for those who ask the node

    with files.opened() as queue:
        report = verified(queue.desk)
    if as_json:
        write_json({"problems": report.problems, **report.counts}, indent=2)
    else:
        click.echo("\n".join(f"{name + ':':<24}{value}" for name, value in flat(report.counts)))
        click.echo("sound" if not report.problems else "\n".join(f"PROBLEM {problem}" for problem in report.problems))
    if report.problems:
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


def _retried(queue: Any, ids: Sequence[str]) -> tuple[list[View], list[str]]:
    """What is sent again, and why the rest is not."""
    from edgeclient.spool.desk import NotRetryableError  # noqa: PLC0415  as above

    views, refusals = [], []
    for job_id in ids:
        try:
            retried = queue.retry(job_id)
        except NotRetryableError as error:
            refusals.append(str(error))
            continue
        if retried is None:
            refusals.append(no_job(job_id))
        else:
            was = {"retry_of": retried.job_id, "was": retried.was.name.lower()}
            views.append(view_of_row(retried.job) | was)
    return views, refusals
