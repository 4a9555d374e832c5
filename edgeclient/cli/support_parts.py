"""The parts of a support bundle, in the order in which somebody reads them.

Each is made for itself: one that fails is missing, with the reason, and the others are there. A bundle is asked for
when something is broken, so everything here expects that it is: no configuration, no daemon, no disk.
"""

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from http import HTTPStatus
from importlib import metadata
from pathlib import Path
from typing import Any

from edgeclient import __version__
from edgeclient.cli.admin_page import NobodyAnswersError, admin_page
from edgeclient.cli.config import key_places
from edgeclient.cli.doctor_daemon import daemon_facts
from edgeclient.cli.doctor_run import Told, examine
from edgeclient.cli.doctor_verdict import Check
from edgeclient.cli.doctor_view import as_data as checks_as_data
from edgeclient.cli.failure import Failure
from edgeclient.cli.output import message_json
from edgeclient.cli.support_host import host
from edgeclient.cli.support_part import MissingError, Part
from edgeclient.cli.support_queue import queue, refuse_other_schema
from edgeclient.cli.usage_source import Told as Usage
from edgeclient.cli.usage_source import usage
from edgeclient.cli.version import facts
from edgeclient.config import show
from edgeclient.config.load import Loaded
from edgeclient.core.aside import aside
from edgeclient.spool.glance import holder
from edgeclient.telemetry.redaction import BLOT

_LOG_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """What the parts are made of.

    Attributes:
        told: What the command was told.
        loaded: The configuration; None: it is wrong.
        problems: What is wrong with it.
        log: A file of the log that is to be taken along; None: none is.
    """

    told: Told
    loaded: Loaded | None
    problems: tuple[str, ...] = ()
    log: Path | None = None

    def parts(self) -> Iterator[Part]:
        """All of them."""
        yield Part(name="versions.json", what="versions of edgeclient, Python and libraries", make=self._versions)
        yield Part(name="config.json", what="every setting and where it comes from", make=self._config)
        yield Part(
            name="environment.json", what="names of the variables that matter, no values", make=self._environment
        )
        yield Part(name="host.json", what="processors, memory, disks, limits, temperature", make=self._host)
        yield Part(name="doctor.json", what="the report of edgeclient doctor", make=self._doctor)
        yield Part(name="node_status.json", what="what the daemon says of itself", make=self._node_status)
        yield Part(name="readyz.json", what="whether the daemon is ready, and why not", make=self._ready)
        yield Part(name="metrics.txt", what="the metrics of the daemon", make=self._metrics)
        yield Part(name="usage.json", what="who used how much, and its cost", make=self._usage)
        yield Part(
            name="queue.json",
            what="the counts of the queue, and of a stopped daemon's whether it is sound",
            make=self._queue,
        )
        if self.log is not None:
            yield Part(name="log.txt", what="the end of the log file that was given", make=self._log)

    async def _versions(self) -> dict[str, Any]:
        installed = {each.name: each.version for each in metadata.distributions()}
        return facts() | {"libraries": dict(sorted(installed.items()))}

    async def _config(self) -> dict[str, Any]:
        loaded = self._configured()
        found = show.as_data(loaded, api_keys=key_places(loaded))
        for row in found["callers"]:  # a digest is no token, but a weak token could be guessed from it
            row["token_sha256"] = [BLOT] * len(row["token_sha256"])
        return found

    async def _environment(self) -> list[str]:
        wanted = ("EDGECLIENT_", "GRPC_", "OTEL_", "SSL_", "PYTHON", "DASHSCOPE_", "REDIS_", "TZ", "LANG")
        names = self.told.environ
        return sorted(name for name in names if name.startswith(wanted) or name.lower().endswith("_proxy"))

    async def _host(self) -> dict[str, Any]:
        config = self.loaded.config if self.loaded else None
        pid = (holder(Path(config.spool.directory)) or "") if config and config.spool.directory else ""
        return await aside(lambda: host(config, pid=pid), name="look at the box")

    async def _doctor(self) -> dict[str, Any]:
        checks: list[Check] = []
        begun_s = time.monotonic()
        await examine(self.told, checks.append)
        return checks_as_data(checks, version=__version__, duration_s=time.monotonic() - begun_s)

    async def _node_status(self) -> dict[str, Any]:
        config = self._configured().config
        found = await daemon_facts(config.ingress, "")
        if found.status is None:
            why = f" ({found.refusal})" if found.refusal else ""
            raise MissingError(f"no daemon tells its state at {config.ingress.listen}{why}")
        return message_json(found.status)

    async def _ready(self) -> Any:
        return json.loads(await self._page("/readyz", HTTPStatus.OK, HTTPStatus.SERVICE_UNAVAILABLE))

    async def _metrics(self) -> str:
        return await self._page("/metrics", HTTPStatus.OK)

    async def _usage(self) -> dict[str, Any]:
        config = self._configured().config

        def read() -> Usage:
            if config.spool.directory and not holder(Path(config.spool.directory)):
                refuse_other_schema(Path(config.spool.directory))
            return usage(admin=config.admin.listen, directory=config.spool.directory)

        try:
            told = await aside(read, name="read the usage")
        except Failure as failure:
            raise MissingError("; ".join((failure.message, *failure.details[:1]))) from None
        return {"origin": told.origin, "budgets": told.budgets, "rows": [asdict(row) for row in told.rows]}

    async def _queue(self) -> dict[str, Any]:
        return await queue(self._configured().config.spool)

    async def _log(self) -> str:
        path = self.log or Path()
        try:
            with path.open("rb") as file:
                file.seek(max(0, path.stat().st_size - _LOG_BYTES))
                return file.read(_LOG_BYTES).decode("utf-8", "replace")
        except OSError as error:
            raise MissingError(f"{path} cannot be read: {error.strerror}") from None

    async def _page(self, path: str, *wanted: HTTPStatus) -> str:
        admin = self._configured().config.admin.listen
        if not admin:
            raise MissingError("admin.listen is empty, so there is no admin port to ask")
        try:
            status, body = await aside(lambda: admin_page(admin, path), name="ask the admin port")
        except NobodyAnswersError as error:
            raise MissingError(f"no daemon answers at {admin} ({error})") from None
        if status not in wanted:
            raise MissingError(f"what answers at {admin} is no edgeclient: HTTP status {status}")
        return body.decode("utf-8", "replace")

    def _configured(self) -> Loaded:
        if self.loaded is None:
            raise MissingError(f"the configuration is wrong: {'; '.join(self.problems)}")
        return self.loaded
