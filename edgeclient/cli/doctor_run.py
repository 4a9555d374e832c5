"""All checks of `edgeclient doctor`, in the order in which things depend on each other.

First what the node is told, then the way to each target, then the node itself. Targets are checked side by side, so
that a black hole costs its time once, and told one after the other; the node is checked after them, because an fsync
that is measured beside something else is none. A part of the time is kept for it.
"""

import asyncio
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from edgeclient.cli.doctor_course import Course, Tell
from edgeclient.cli.doctor_daemon import DaemonFacts, daemon_facts
from edgeclient.cli.doctor_disk import folder_facts, fsync_facts, queue_facts
from edgeclient.cli.doctor_kernel import clock_is_kept
from edgeclient.cli.doctor_node import UserFacts, judge_certificate, judge_daemon, judge_port, judge_user
from edgeclient.cli.doctor_port import certificate_facts, port_facts
from edgeclient.cli.doctor_provider import judge_clock
from edgeclient.cli.doctor_settings import loaded_or_verdict
from edgeclient.cli.doctor_storage import judge_folder, judge_fsync, judge_queue
from edgeclient.cli.doctor_target import Target, TargetCheck
from edgeclient.cli.doctor_verdict import Check, Verdict, skipped
from edgeclient.config.catalogue import catalogue
from edgeclient.config.load import Loaded
from edgeclient.config.schema import Config
from edgeclient.config.targets import targets_of
from edgeclient.core.aside import aside

_SHORT_S = 1.0
_DISK_S = 2.0
_PORT_S = 2.0
_NODE_PART = 0.2
_TARGET_CHECKS = ("DNS", "TCP", "TLS", "HTTP/2", "credentials", "models", "latency")
_NODE_CHECKS = ("disk", "fsync", "queue", "port", "admin port", "certificate", "user", "daemon")


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the command was told.

    Attributes:
        file: The configuration file; None: as the daemon finds it.
        environ: The environment.
        overrides: Texts by path.
        timeout_s: How long all of it may take.
    """

    file: Path | None
    environ: Mapping[str, str]
    overrides: Mapping[str, str]
    timeout_s: float


async def examine(told: Told, tell: Tell) -> None:
    """Make every check and tell each as soon as it is its turn."""
    ends_s = time.monotonic() + told.timeout_s
    first = Course(tell, ends_s=ends_s)
    found: list[Loaded] = []

    async def config() -> Verdict:
        loaded, verdict = loaded_or_verdict(told.file, told.environ, told.overrides)
        found.extend([loaded] if loaded else [])
        return verdict

    await first.take("config", config, limit_s=_SHORT_S)
    if not found:
        await _without_config(first)
        return
    (loaded,) = found
    every = targets_of(loaded.config, catalogue(loaded.config))
    targets = [Target.of(settings, loaded) for settings in every]
    network_ends_s = ends_s - _NODE_PART * told.timeout_s
    await _check_targets(targets, told.environ, tell, ends_s=network_ends_s, broken=first.broken)
    await NodeCheck(loaded.config).run(Course(tell, ends_s=ends_s))


async def _without_config(course: Course) -> None:
    """Nothing else is known, but what concerns the box alone."""

    async def clock() -> Verdict:
        return judge_clock(None, kept=clock_is_kept())

    async def user() -> Verdict:
        return judge_user(_user(""))

    async def never() -> Verdict:
        return skipped("there is no configuration")

    own = {"clock": clock, "user": user}
    for name in ("key", *_TARGET_CHECKS, "clock", *_NODE_CHECKS):
        await course.take(name, own.get(name, never), needs=[] if name in own else ["config"], limit_s=_SHORT_S)


async def _check_targets(
    targets: Sequence[Target], environ: Mapping[str, str], tell: Tell, *, ends_s: float, broken: dict[str, str]
) -> None:
    told: list[asyncio.Queue[Check | None]] = [asyncio.Queue() for _ in targets]

    async def one(target: Target, queue: asyncio.Queue[Check | None]) -> None:
        course = Course(
            queue.put_nowait,
            ends_s=ends_s,
            target=target.config.name,
            broken=broken,
            reword=target.settings.in_own_terms,
        )
        try:
            await TargetCheck(target, environ=environ).run(course)
        finally:
            queue.put_nowait(None)

    async with asyncio.TaskGroup() as group:
        for target, queue in zip(targets, told, strict=True):
            group.create_task(one(target, queue), name=f"checks of {target.config.name}")
        for queue in told:
            while (check := await queue.get()) is not None:
                tell(check)


class NodeCheck:
    """The checks of the box and of the daemon on it."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._holder = ""
        self._daemon = DaemonFacts()

    async def run(self, course: Course) -> None:
        """Make them."""
        await course.take("disk", self._disk, limit_s=_DISK_S)
        await course.take("fsync", self._fsync, needs=["disk"], limit_s=_DISK_S)
        await course.take("queue", self._queue, limit_s=_DISK_S)
        await course.take("port", self._port, limit_s=2 * _PORT_S)
        await course.take("admin port", self._admin_port, limit_s=_PORT_S)
        await course.take("certificate", self._certificate, limit_s=_SHORT_S)
        await course.take("user", self._user, limit_s=_SHORT_S)
        await course.take("daemon", self._the_daemon, limit_s=_SHORT_S)

    @property
    def _directory(self) -> Path:
        return Path(self._config.spool.directory)

    async def _disk(self) -> Verdict:
        if not self._config.spool.directory:
            return skipped("spool.directory is empty: there is no queue")
        facts = await aside(lambda: folder_facts(self._directory), name="look at the disk")
        return judge_folder(facts, self._config.spool)

    async def _fsync(self) -> Verdict:
        if not self._config.spool.directory:
            return skipped("there is no queue")
        if not self._directory.is_dir():
            return skipped("the folder is not there yet")
        return judge_fsync(await aside(lambda: fsync_facts(self._directory), name="fsync"))

    async def _queue(self) -> Verdict:
        if not self._config.spool.directory:
            return skipped("there is no queue")
        facts = await aside(lambda: queue_facts(self._config.spool), name="look at the queue")
        self._holder = facts.holder or ""
        return judge_queue(facts)

    async def _port(self) -> Verdict:
        ingress = self._config.ingress
        facts = await port_facts(ingress.listen)
        if facts.outcome == "taken":
            self._daemon = await daemon_facts(ingress, self._config.admin.listen)
        return judge_port(facts, self._daemon, setting="ingress.listen", holder=self._holder)

    async def _admin_port(self) -> Verdict:
        listen = self._config.admin.listen
        if not listen:
            return skipped("admin.listen is empty: there is none")
        return judge_port(await port_facts(listen), self._daemon, setting="admin.listen", holder=self._holder)

    async def _certificate(self) -> Verdict:
        ingress = self._config.ingress
        if not ingress.tls_certificate_file:
            return skipped("the port for devices has no TLS")
        return judge_certificate(certificate_facts(ingress), now=datetime.now(UTC))

    async def _user(self) -> Verdict:
        return judge_user(_user(self._config.spool.directory))

    async def _the_daemon(self) -> Verdict:
        return judge_daemon(self._daemon, listen=self._config.ingress.listen, holder=self._holder)


def _user(directory: str) -> UserFacts:
    owner = Path(directory).stat().st_uid if directory and os.path.isdir(directory) else None  # noqa: PTH112  never raises
    return UserFacts(uid=os.geteuid(), owner_uid=owner, is_root_read_only=bool(os.statvfs("/").f_flag & os.ST_RDONLY))
