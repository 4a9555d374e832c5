"""The files of a node, as the commands of `jobs` get at them: through its daemon while it runs."""

import functools
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from edgeclient.cli.exit_codes import ExitCode
from edgeclient.cli.failure import Failure
from edgeclient.cli.jobs_control import control_door
from edgeclient.cli.jobs_door import NotDoneError, OperatorDoor
from edgeclient.cli.settings import load_or_fail
from edgeclient.config.schema import Config
from edgeclient.config.setting import SettingError
from edgeclient.config.spool_schema import SpoolConfig
from edgeclient.core.jobs import Job
from edgeclient.spool.job_view import View, view_of_retried, view_of_row, view_of_stats

_OPTIONS = (
    click.option(
        "--config",
        "file",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="The daemon's configuration: names the files of the queue.",
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
        from edgeclient.spool.sealing import vault_of  # noqa: PLC0415

        directory = Path(self.config.directory)
        try:
            queue = OperatorQueue(directory, vault=vault_of(self.config.encryption_key_file), config=self.config)
        except QueueInUseError as error:
            advice = "Stop the daemon first."
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
    async def door(self) -> AsyncIterator[OperatorDoor]:
        """The queue: of the daemon that has it, else the files themselves.

        Raises:
            Failure: There is none, or a daemon has it and does not answer.
        """
        async with control_door(Path(self.config.directory)) as door:
            if door is not None:
                yield door
                return
        with self.opened() as queue:
            yield FilesDoor(queue, node=self.node)


class FilesDoor:
    """An `OperatorDoor` into the files.

    Args:
        queue: An `OperatorQueue`.
        node: The whole configuration, for what the node keeps beside its jobs; None: only a folder was named.
    """

    def __init__(self, queue: Any, *, node: Config | None) -> None:
        self._queue = queue
        self._node = node

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

    async def erased_caller(self, caller: str) -> int:
        """Destroy all that the node keeps of a caller: its jobs, its sums, and its answers that outlive the daemon."""
        count: int = self._queue.erase_caller(caller)
        if self._node is not None:
            await _forget_answers(self._node, caller)
        return count

    async def retryable(self, states: Sequence[str]) -> tuple[list[str], int]:
        """Jobs that can be sent again."""
        found: tuple[list[str], int] = self._queue.retryable(states)
        return found

    async def retried(self, job_id: str) -> View | None:
        """Send a job again."""
        from edgeclient.spool.desk import NotRetryableError  # noqa: PLC0415  see `opened`

        try:
            retried = self._queue.retry(job_id)
        except NotRetryableError as error:
            raise NotDoneError(str(error)) from None
        if retried is None:
            return None
        return view_of_retried(retried.job, retry_of=retried.job_id, was=retried.was)

    async def counted(self) -> View:
        """All counts."""
        return view_of_stats(self._queue.stats())

    async def verified(self) -> View:
        """Look at everything."""
        from edgeclient.spool.verification import verified  # noqa: PLC0415  see `opened`

        report = verified(self._queue.desk)
        return {"problems": report.problems, "counts": report.counts}


async def _forget_answers(config: Config, caller: str) -> None:
    from edgeclient.caching import forgotten  # noqa: PLC0415  loads SQLite, and perhaps the client of Redis
    from edgeclient.core.cache import CacheUnreachableError  # noqa: PLC0415

    try:
        await forgotten(config, caller)
    except SettingError as error:
        raise Failure(ExitCode.CONFIG, "the jobs are erased; not so the cache:", details=error.problems) from error
    except CacheUnreachableError as error:
        raise Failure(ExitCode.UNAVAILABLE, f"the jobs are erased; {error}; erase the caller again") from error


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
