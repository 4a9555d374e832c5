"""Judges the disk of the queue: facts in, sentences out."""

from collections.abc import Sequence

from edgeclient.cli.doctor_disk import FolderFacts, FsyncFacts, QueueFacts
from edgeclient.cli.doctor_provider import quantile
from edgeclient.cli.doctor_verdict import Verdict, failing, fine, span, warning
from edgeclient.config.spool_schema import SpoolConfig

_IN_MEMORY = ("tmpfs", "ramfs")
_OVER_A_NETWORK = ("nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "glusterfs")
_SLOW_S = 0.1
_TOO_QUICK_S = 10e-6  # the best disks with a battery take twice as long; what is faster has written nothing
_UNITS = ((1024**3, "GiB"), (1024**2, "MiB"), (1024, "KiB"))


def judge_folder(facts: FolderFacts, config: SpoolConfig) -> Verdict:
    """Whether the queue has a place, and room in it."""
    where = facts.directory
    if facts.obstacle:
        return failing(
            f"{where} cannot be written",
            seen=facts.obstacle,
            means="no job can be stored: the daemon does not start",
            do=[
                f"make it for the user of the daemon: mkdir -p {where}; chown USER {where}; chmod 700 {where}",
                "with a read-only root: mount a volume there",
            ],
        )
    free = f"{size(facts.free_bytes)} free on {facts.filesystem or 'an unknown file system'}"
    ballast_bytes = max(0, config.ballast_bytes - facts.sizes.ballast_bytes)
    least_bytes = config.disk_floor_bytes + ballast_bytes
    most_bytes = least_bytes + max(0, config.max_bytes - facts.sizes.database_bytes)
    if facts.free_bytes < least_bytes:
        return failing(
            f"{where} is full: {free}",
            seen=f"spool.disk_floor_bytes and the ballast want {size(least_bytes)}",
            means="new jobs are refused with QUEUE_FULL; what is stored goes on",
            do=["free space on this disk", "or take less: spool.disk_floor_bytes, spool.ballast_bytes"],
        )
    unstable = _unstable(facts, free)
    if unstable is not None:
        return unstable
    if not facts.exists:
        return fine(f"{where} is not there yet, the daemon makes it; {free}")
    if facts.free_bytes < most_bytes:
        return warning(
            f"{where}: {free}",
            seen=f"a queue of spool.max_bytes, with ballast and disk floor, wants {size(most_bytes)}",
            means="the disk is full before the queue is: then new jobs are refused earlier than the settings say",
            do=["free space on this disk, or set a smaller spool.max_bytes"],
        )
    return fine(f"{where}: {free}, a full queue wants {size(most_bytes)}")


def _unstable(facts: FolderFacts, free: str) -> Verdict | None:
    """A file system that does not keep what it is given."""
    if facts.filesystem in _IN_MEMORY:
        return warning(
            f"{facts.directory}: {free}",
            means="this file system is memory: jobs that were accepted are gone with the next boot",
            do=["mount a disk there"],
        )
    if facts.filesystem == "overlay":
        return warning(
            f"{facts.directory}: {free}",
            means="this is the layer of a container: jobs that were accepted are gone with the container",
            do=["mount a volume there"],
        )
    if facts.filesystem in _OVER_A_NETWORK:
        return warning(
            f"{facts.directory}: {free}",
            means="a file system over a network: locks and fsync are not what SQLite needs, and it can hang",
            do=["give the queue a local disk"],
        )
    return None


def judge_fsync(facts: FsyncFacts) -> Verdict:
    """How fast the disk keeps what it is given."""
    if facts.problem or not facts.times_s:
        return failing(
            "a file in spool.directory cannot be written",
            seen=facts.problem or "not one fsync ended",
            means="no job can be stored",
            do=["free space, or mend the disk; see the line before this one, and dmesg"],
        )
    times_s: Sequence[float] = facts.times_s
    p50_s, p99_s = quantile(times_s, 0.5), quantile(times_s, 0.99)
    rate = f"{1 / p50_s:,.0f}" if p50_s else "no end of"
    line = f"fsync p50 {span(p50_s)}, p99 {span(p99_s)}: about {rate} commits/s, each with all accepts that wait"
    if p50_s < _TOO_QUICK_S:
        return warning(
            line,
            means="no disk is that fast: it says that it has written what it has not, and forgets it at a power cut",
            do=["switch off eatmydata, nobarrier, or the write cache without a battery"],
        )
    if p99_s > _SLOW_S:
        return warning(
            line,
            means="accepting a job takes that long at times; SD cards do so when they clean up, and before they die",
            do=["give the queue a better disk (eMMC, SSD), and look into dmesg for errors of this one"],
        )
    return fine(line)


def judge_queue(facts: QueueFacts) -> Verdict:
    """Whether a daemon has the queue, and whether the key fits."""
    if facts.key_problem:
        return failing(
            "the node key cannot be used",
            seen=facts.key_problem,
            means="the daemon does not start; the queue cannot be read without its key",
            do=["correct what is named; a lost key cannot be replaced, its queue is lost with it"],
        )
    if facts.fit_problem:
        return failing(
            "the node key is not that of the queue",
            seen=f"the queue {facts.fit_problem}",
            means="the daemon does not start",
            do=["give back the key that the queue was made with, or an empty spool.directory"],
        )
    states = {None: "who has it may only root see", "": "no daemon has it"}
    held = states.get(facts.holder, f"in use by a daemon, pid {facts.holder}, which is as it should be")
    if not facts.is_made:
        content = "no queue yet" if not facts.holder else "the queue is new"
    else:
        content = "encrypted, and the key fits" if facts.is_encrypted else "not encrypted"
    return fine(f"{content}; {held}")


def size(number: int) -> str:
    """Bytes as a person reads them."""
    for unit_bytes, unit in _UNITS:
        if number >= unit_bytes:
            return f"{number / unit_bytes:.3g} {unit}"
    return f"{number} bytes"
