"""The files of a stopped node, as the commands of `jobs` get at them."""

import functools
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from edgeclient.cli.exit_codes import ExitCode
from edgeclient.cli.failure import Failure
from edgeclient.cli.job_view import View, view_of_row
from edgeclient.cli.settings import load_or_fail
from edgeclient.config.schema import Config
from edgeclient.config.setting import SettingError
from edgeclient.config.spool_schema import SpoolConfig
from edgeclient.core.jobs import Job

_OPTIONS = (
    click.option(
        "--config",
        "file",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="The stopped daemon's configuration: names the files of the queue.",
    ),
    click.option(
        "--directory",
        type=click.Path(path_type=Path, file_okay=False),
        help="The files of the queue themselves. Wins over --config.",
    ),
    click.option(
        "--encryption-key-file",
        "encryption_key_file",
        type=click.Path(path_type=Path, dir_okay=False),
        help="The node key, if the queue is encrypted. Wins over --config.",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """Which queue, and how it is to be opened.

    Attributes:
        config: Folder, key file and limits.
        node: The whole configuration; None: only a folder was named.
    """

    config: SpoolConfig
    node: Config | None = None

    @contextmanager
    def opened(self) -> Iterator[Any]:
        """The queue, ours alone for the time being: an `OperatorQueue`.

        Raises:
            Failure: A daemon has it, or it is none.
        """
        from edgeclient.spool.offline_files import QueueInUseError, QueueUnusableError  # noqa: PLC0415  not for the
        from edgeclient.spool.operator import OperatorQueue  # noqa: PLC0415  commands that ask the node
        from edgeclient.spool.vault import vault_of  # noqa: PLC0415

        directory = Path(self.config.directory)
        try:
            queue = OperatorQueue(directory, vault=vault_of(self.config.encryption_key_file), config=self.config)
        except QueueInUseError as error:
            advice = "Stop the daemon first, or ask it: leave out --config and --directory."
            raise Failure(ExitCode.TEMPORARY, str(error), details=[advice]) from error
        except QueueUnusableError as error:
            raise Failure(ExitCode.CONFIG, str(error)) from error
        except SettingError as error:
            raise Failure(ExitCode.CONFIG, "the node key cannot be used:", details=error.problems) from error
        try:
            with queue:
                yield queue
        except QueueUnusableError as error:
            raise Failure(ExitCode.CONFIG, str(error)) from error

    @asynccontextmanager
    async def door(self) -> AsyncIterator["FilesDoor"]:
        """The queue for commands that work either way."""
        with self.opened() as queue:
            yield FilesDoor(queue)


class FilesDoor:
    """A `JobsDoor` into the files."""

    def __init__(self, queue: Any) -> None:
        self._queue = queue

    async def listed(self, *, states: Sequence[str], caller: str, limit: int, content: bool) -> AsyncIterator[View]:
        """Jobs and live calls of all callers."""
        for job in self._queue.jobs(states=states, caller=caller, limit=limit, content=content):
            yield view_of_row(job)

    async def shown(self, job_id: str, *, content: bool) -> View | None:
        """One job."""
        return _view(self._queue.job(job_id, content=content))

    async def cancelled(self, job_id: str) -> View | None:
        """Ask for its end."""
        return _view(self._queue.cancel(job_id))

    async def erased(self, job_id: str) -> None:
        """Destroy its content."""
        self._queue.erase(job_id)

    async def counted(self) -> dict[str, Any]:
        """All counts."""
        stats = self._queue.stats()
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


def files_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options; the command gets `files`, or None if it is to ask the node."""
    return _with_files(command, is_required=False)


def files_required(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options; without them the daemon's own configuration says where the files are."""
    return _with_files(command, is_required=True)


def _with_files(command: Callable[..., Any], *, is_required: bool) -> Callable[..., Any]:
    @functools.wraps(command)
    def collected(
        *, file: Path | None, directory: Path | None, encryption_key_file: Path | None, **options: Any
    ) -> Any:
        wanted = is_required or file is not None or directory is not None
        if encryption_key_file is not None and not wanted:
            raise click.UsageError("--encryption-key-file goes with --directory or --config")
        return command(files=_files(file, directory, encryption_key_file) if wanted else None, **options)

    for option in reversed(_OPTIONS):
        collected = option(collected)
    return collected


def _files(file: Path | None, directory: Path | None, key_file: Path | None) -> Files:
    """A folder that is named needs no configuration."""
    node = None if directory is not None and file is None else load_or_fail(file, {}).config
    config = SpoolConfig() if node is None else node.spool
    if directory is not None:
        config = replace(config, directory=str(directory))
    if key_file is not None:
        config = replace(config, encryption_key_file=str(key_file))
    if not config.directory:
        raise Failure(ExitCode.CONFIG, "the configuration has no spool.directory, so there is no queue to open")
    return Files(config=config, node=None if node is None else replace(node, spool=config))


def _view(job: Job | None) -> View | None:
    return None if job is None else view_of_row(job)
