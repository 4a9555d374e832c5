"""The queue in a support bundle: counts and states, and whether it is sound. No content, and nothing is changed.

A running daemon has the files to itself and is asked for its counts; to look through all of it, while it works, is for
`edgeclient jobs verify`. The files of a stopped one are read under its lock; a queue that would have to be brought up
to date for that is left as it is.
"""

from pathlib import Path
from typing import Any

from edgeclient.cli.failure import Failure
from edgeclient.cli.jobs_control import control_door
from edgeclient.cli.jobs_door import NotDoneError
from edgeclient.cli.support_part import MissingError
from edgeclient.config.spool_schema import SpoolConfig
from edgeclient.core.aside import aside

_MOST_PROBLEMS = 200


async def queue(config: SpoolConfig) -> dict[str, Any]:
    """The counts, and of a stopped daemon what is wrong with the files.

    Raises:
        MissingError: They cannot be had now.
    """
    if not config.directory:
        raise MissingError("spool.directory is empty, so there is no queue")
    async with control_door(Path(config.directory)) as door:
        if door is not None:
            try:
                return {"from": "the running daemon", "counts": await door.counted()}
            except (Failure, NotDoneError) as error:
                raise MissingError(f"the daemon does not tell its counts: {error}") from None
    return await aside(lambda: _of_files(config), name="look at the queue")


def _of_files(config: SpoolConfig) -> dict[str, Any]:
    from edgeclient.config.setting import SettingError  # noqa: PLC0415  SQLite is loaded only by who needs it
    from edgeclient.spool.offline_files import QueueInUseError, QueueUnusableError  # noqa: PLC0415
    from edgeclient.spool.operator import OperatorQueue  # noqa: PLC0415
    from edgeclient.spool.sealing import vault_of  # noqa: PLC0415
    from edgeclient.spool.verification import verified  # noqa: PLC0415

    directory = Path(config.directory)
    refuse_other_schema(directory)
    try:
        with OperatorQueue(directory, vault=vault_of(config.encryption_key_file), config=config) as files:
            stats, verification = files.stats(), verified(files.desk)
    except QueueInUseError:
        raise MissingError("a daemon has the files and does not answer; metrics.txt may have its counts") from None
    except (QueueUnusableError, SettingError) as error:
        raise MissingError(str(error)) from None
    counts = {
        "by_state": {state.name.lower(): count for state, count in stats.by_state.items()},
        "accepted_total": stats.accepted_total,
        "purged_total": stats.purged_total,
        "uncertain_total": stats.uncertain_total,
        "resent_total": stats.resent_total,
        "lost_total": stats.lost_total,
        "bytes_used": stats.bytes_used,
        "free_bytes": stats.free_bytes,
    }
    return {
        "from": "the files",
        "counts": counts,
        "looked_at": verification.counts,
        "problem_count": len(verification.problems),
        "problems": verification.problems[:_MOST_PROBLEMS],
    }


def refuse_other_schema(directory: Path) -> None:
    """Opening a queue brings it up to date.

    Raises:
        MissingError: It would have to be.
    """
    from edgeclient.spool.glance import schema  # noqa: PLC0415  as above
    from edgeclient.spool.statements import migrations  # noqa: PLC0415

    found, known = schema(directory), len(migrations())
    if found not in (None, known):
        raise MissingError(f"the queue has schema {found}, and this version knows {known}: it is not touched")
