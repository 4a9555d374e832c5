"""THE wiring: every part is made here and joined in the order in which a call travels. No logic.

device ── gRPC ──▶ ingress ▶ validate ▶ idempotency ▶ prepare ▶ cache ▶ offline ▶ coalesce ▶ retry ▶ dispatch ▶ upstream
                                             │                             │                            ▲           │
                                             ▼                             ▼                            │         HTTP/2
                                          spool (SQLite on this node) ───────────────────────────── drainer         ▼
                                                                                                                  Qwen
"""

import os
import random
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO
from urllib.parse import urlsplit

from edgeclient import __version__
from edgeclient.caching import caching
from edgeclient.config.callers import callers
from edgeclient.config.catalogue import catalogue
from edgeclient.config.credentials import key_source
from edgeclient.config.schema import Config
from edgeclient.core.call import road
from edgeclient.core.events import Event, KeyChanged, UplinkChanged
from edgeclient.core.job_events import SpoolDamaged, SpoolFailed, SpoolRecovered
from edgeclient.core.node_events import NodeStarted
from edgeclient.core.ports import Clock, Observe
from edgeclient.counting import books, counts
from edgeclient.deferral import deferral
from edgeclient.durable import durable
from edgeclient.ingress.chat import ChatService
from edgeclient.ingress.gate import Gate
from edgeclient.ingress.health import Health
from edgeclient.ingress.identity import Identity
from edgeclient.ingress.methods import methods
from edgeclient.ingress.node import NodeService, TargetView
from edgeclient.ingress.server import GrpcServer
from edgeclient.ingress.storage_health import StorageHealth
from edgeclient.ingress.uplink_health import UplinkHealth
from edgeclient.policy.pricing import PriceTable
from edgeclient.runtime import Daemon
from edgeclient.stages.accounting import ACCOUNTED
from edgeclient.stages.offline import Offline
from edgeclient.stages.validate import Validate
from edgeclient.telemetry.admin import AdminServer
from edgeclient.telemetry.admin_pages import admin_pages
from edgeclient.telemetry.fanout import Fanout, Table
from edgeclient.telemetry.gauges import Gauges
from edgeclient.telemetry.logs import Logs
from edgeclient.telemetry.metrics import Metrics
from edgeclient.traffic import traffic
from edgeclient.upstream.completion import Upstream
from edgeclient.upstream.probe import Probe
from edgeclient.upstream.retry import Retry
from edgeclient.upstream.transport import Transport
from edgeclient.upstream.uplink import UplinkWatch

_OPT_IN = "OTEL_SEMCONV_STABILITY_OPT_IN"


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """What was made.

    Attributes:
        daemon: Runs it.
        observe: Takes facts.
        logs: The log, for what is said outside of events.
    """

    daemon: Daemon
    observe: Observe
    logs: Logs


def build(  # noqa: PLR0915  one long list of parts, without a decision in it
    config: Config,
    *,
    environ: Mapping[str, str] = os.environ,
    clock: Clock,
    stderr: BinaryIO,
    watch: Table | None = None,
    age_s: float = 0.0,
) -> App:
    """Make and join all parts; nothing runs yet. Wants a running event loop.

    Args:
        config: The configuration.
        environ: The environment, for the API key and the proxy.
        clock: Time.
        stderr: Where the log goes.
        watch: Further subscribers to events, for tests.
        age_s: How long the process has been starting.

    Raises:
        SettingError: The configuration cannot be used.
    """
    rng = random.SystemRandom()
    node_id = config.node.id or socket.gethostname()
    models = catalogue(config)
    known = callers(config, models)
    health = Health()

    # facts → outside world
    metrics = Metrics(
        node_id=node_id,
        version=__version__,
        models=[spec.id for spec in models.models],
        targets=[config.upstream.name],
        stability_opt_in=environ.get(_OPT_IN, ""),
    )
    logs = Logs(config.log, node_id=node_id, clock=clock, stream=stderr, is_terminal=sys.stderr.isatty())
    uplink_health = UplinkHealth(health, uplink=lambda: uplink.state)
    storage_health = StorageHealth(health, usable=bool(config.spool.directory))

    def uplink_changed(event: Event) -> None:  # the parts are made below, in the order in which they need each other
        offline.uplink_changed(event)
        flow.dispatch.uplink_changed(event)
        queue.uplink_changed(event)

    def key_changed(event: Event) -> None:
        queue.key_changed(event)

    def storage_recovered(event: Event) -> None:
        queue.storage_recovered(event)

    def accounted(event: Event) -> None:
        kept.take(event)

    async def forget(caller: str) -> None:  # what is kept of it beside its jobs
        await kept.erase(caller)
        await reuse.forget(caller)

    observe = Fanout(
        {
            "metrics": metrics.table,
            "logs": logs.table,
            "health": {
                UplinkChanged: uplink_health.uplink_changed,
                SpoolFailed: storage_health.failed,
                SpoolRecovered: storage_health.recovered,
            },
            "road": {
                UplinkChanged: uplink_changed,
                KeyChanged: key_changed,
                SpoolRecovered: storage_recovered,
                SpoolDamaged: storage_recovered,
            },
            "accounts": dict.fromkeys(ACCOUNTED, accounted),
            "watch": watch or {},
        },
        on_failure=(metrics.subscriber_failed, logs.subscriber_failed),
    ).observe

    # the road, from its end to its beginning
    key = key_source(config.upstream.api_key_file, environ, observe=observe, clock=clock)
    transport = Transport(config.upstream, key, observe=observe, clock=clock, environ=environ)
    uplink = UplinkWatch(config.upstream.name, observe=observe, clock=clock)
    probe = Probe(config.upstream, transport, uplink, observe=observe, clock=clock, rng=rng)
    prices = PriceTable(config.prices, resolve=lambda name: models.resolve(name).id)
    upstream = Upstream(config.upstream, transport, observe=observe, clock=clock, uplink=uplink, prices=prices)
    counted = counts(config, models=models, prices=prices, clock=clock)
    flow = traffic(config, quota=counted.quota, prices=prices, observe=observe, clock=clock)
    retry = Retry(config.upstream, observe=observe, clock=clock, rng=rng)
    reuse = caching(config, models=models, environ=environ, observe=observe, clock=clock)
    validate = Validate(
        catalogue=models,
        config=config.chat,
        callers=known,
        durable=bool(config.spool.directory),
        cached=reuse.cache is not None,
        expand=reuse.prepare.expand,
    )
    gate = Gate(most=config.ingress.max_in_flight, observe=observe)
    half_price = deferral(
        config, transport=transport, key=key, models=models, prices=prices, observe=observe, environ=environ
    )
    queue = durable(
        config,
        admit=validate.admit,
        send=road(flow.dispatch, to=upstream),
        places=flow.dispatch.room_for_jobs,
        quota=counted.quota,
        demands=flow.demands,
        uplink=lambda: uplink.state,
        half_price=half_price,
        forget=forget,
        observe=observe,
        clock=clock,
        rng=rng,
    )
    kept = books(config, counted, queue=queue, transport=transport, observe=observe, clock=clock)
    offline = Offline(queue.spool, config.spool, uplink=lambda: uplink.state, clock=clock)
    answer = road(
        validate, *queue.stages, reuse.prepare, reuse.keep, offline, reuse.share, retry, flow.dispatch, to=upstream
    )

    # the port for devices
    host = urlsplit(config.upstream.base_url).hostname or ""
    chat = ChatService(road=answer, gate=gate, config=config.ingress, clock=clock, observe=observe, random=rng.random)
    node = NodeService(
        node_id=node_id,
        version=__version__,
        config=config.ingress,
        catalogue=models,
        callers=known,
        clock=clock,
        active_calls=lambda: gate.active,
        targets=lambda: [
            TargetView(
                name=config.upstream.name,
                host=host,
                protocol=transport.protocol,
                uplink=uplink.state,
                since_s=uplink.since_wall_s,
            )
        ],
        spool=(queue.spool, config.spool) if queue.spool else None,
        cached_responses=lambda: reuse.stats().response_count,
    )
    devices = GrpcServer(
        config=config.ingress,
        methods=methods(chat=chat, node=node, jobs=queue.jobs),
        health=health,
        identity=Identity(known, required=config.auth.required, certificates=bool(config.ingress.tls_client_ca_file)),
        clock=clock,
        observe=observe,
        random=rng.random,
    )

    # the port for operators
    metrics.read_at_scrape(
        Gauges(
            active_calls=lambda: gate.active,
            upstream_in_flight=lambda: transport.in_flight,
            spool=queue.spool.stats if queue.spool else None,
            dispatch=flow.views,
            quota=kept.view,
            cache=reuse.stats,
        )
    )
    pages = admin_pages(
        metrics=metrics.page,
        readiness=lambda: {"port": "" if devices.serving else "the port for devices takes no calls"},
        usage=kept.usage,
    )
    admin = AdminServer(config.admin.listen, pages=pages, observe=observe) if config.admin.listen else None

    begun_s = clock.monotonic_s() - age_s

    def started() -> Event:
        return NodeStarted(
            version=__version__,
            node_id=node_id,
            listen=devices.address,
            tls=bool(config.ingress.tls_certificate_file),
            admin=admin.address if admin else "",
            upstream=host,
            startup_s=clock.monotonic_s() - begun_s,
        )

    def stop_waiting() -> None:
        retry.stop()
        flow.dispatch.stop()
        offline.stop()
        queue.stop()

    async def open_all() -> None:
        await kept.open()
        await reuse.open()

    async def close() -> None:
        await kept.close()
        await reuse.close()
        await half_price.close()
        await transport.close()

    daemon = Daemon(
        devices=devices,
        admin=admin,
        background={
            "probe": probe.run,
            "uplink health": uplink_health.run,
            "storage health": storage_health.run,
            **queue.background,
            **kept.background,
            **reuse.background,
        },
        open=open_all,
        not_serving=health.drain,
        stop_waiting=stop_waiting,
        drained=queue.drained,
        close=close,
        started=started,
        active_calls=lambda: gate.active,
        grace_s=config.ingress.drain_s,
    )
    return App(daemon=daemon, observe=observe, logs=logs)
