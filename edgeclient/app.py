"""THE wiring: every part is made here and joined in the order in which a call travels. No logic.

device ── gRPC ──▶ ingress ▶ validate ▶ idempotency ▶ prepare ▶ cache ▶ offline ▶ coalesce ▶ retry ▶ route
                                             │                             │                         ▲ │ │ │
                                             ▼                             ▼                         │ ▼ ▼ ▼
                                          spool (SQLite on this node) ──────────── drainer ▶ cache ──┘ dispatch
                                                                                                       ▼ ▼ ▼
                                                                         targets ◀── HTTP/2, TLS ──── upstream
"""

import os
import random
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO

from edgeclient import __version__
from edgeclient.caching import caching
from edgeclient.config.callers import callers
from edgeclient.config.catalogue import catalogue
from edgeclient.config.schema import Config
from edgeclient.config.source import Reread
from edgeclient.config.targets import targets_of
from edgeclient.core.call import road
from edgeclient.core.events import Event, KeyChanged, UplinkChanged
from edgeclient.core.job_events import SpoolDamaged, SpoolFailed, SpoolRecovered
from edgeclient.core.ports import Clock, Observe
from edgeclient.core.route_events import TargetSetAside, TargetTakenBack
from edgeclient.counting import books, counts
from edgeclient.deferral import deferral
from edgeclient.durable import durable
from edgeclient.ingress.chat import ChatService
from edgeclient.ingress.gate import Gate
from edgeclient.ingress.health import Health
from edgeclient.ingress.identity import Identity
from edgeclient.ingress.methods import methods
from edgeclient.ingress.node import NodeService
from edgeclient.ingress.refusals import Refusals
from edgeclient.ingress.server import GrpcServer
from edgeclient.ingress.storage_health import StorageHealth
from edgeclient.ingress.uplink_health import UplinkHealth
from edgeclient.operating import node_started, operators_port
from edgeclient.policy.pricing import PriceTable
from edgeclient.reloading import Live, reloading
from edgeclient.runtime import Daemon
from edgeclient.stages.accounting import ACCOUNTED
from edgeclient.stages.offline import Offline
from edgeclient.stages.validate import Validate
from edgeclient.targets import targets
from edgeclient.telemetry.fanout import Fanout, Table
from edgeclient.telemetry.gauges import Gauges
from edgeclient.telemetry.logs import Logs
from edgeclient.telemetry.metrics import Metrics

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
    reread: Reread | None = None,
) -> App:
    """Make and join all parts; nothing runs yet. Wants a running event loop.

    Args:
        config: The configuration.
        environ: The environment, for the API key and the proxy.
        clock: Time.
        stderr: Where the log goes.
        watch: Further subscribers to events, for tests.
        age_s: How long the process has been starting.
        reread: How the configuration is read again while it runs; None: it is not.

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
        targets=[target.name for target in targets_of(config, models)],
        stability_opt_in=environ.get(_OPT_IN, ""),
    )
    logs = Logs(config.log, node_id=node_id, clock=clock, stream=stderr, is_terminal=sys.stderr.isatty())
    uplink_health = UplinkHealth(health, uplink=lambda: route.uplink())  # noqa: PLW0108  it is made below
    refusals = Refusals()
    storage_health = StorageHealth(health, usable=bool(config.spool.directory))

    def uplink_changed(event: Event) -> None:  # the parts are made below, in the order in which they need each other
        offline.uplink_changed(event)
        route.uplink_changed(event)
        queue.uplink_changed(event)

    def key_changed(event: Event) -> None:
        route.key_changed(event)
        queue.key_changed(event)

    def storage_recovered(event: Event) -> None:
        queue.storage_recovered(event)

    def accounted(event: Event) -> None:
        kept.take(event)

    async def forget(caller: str) -> None:  # what is kept of it beside its jobs
        await kept.erase(caller)
        await reuse.forget(caller)

    outlets = Fanout(
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
                TargetSetAside: refusals.set_aside,
                TargetTakenBack: refusals.taken_back,
                SpoolRecovered: storage_recovered,
                SpoolDamaged: storage_recovered,
            },
            "accounts": dict.fromkeys(ACCOUNTED, accounted),
            "watch": watch or {},
        },
        on_failure=(metrics.subscriber_failed, logs.subscriber_failed),
    )
    observe = outlets.observe

    # the road, from its end to its beginning
    prices = PriceTable(config.prices, resolve=lambda name: models.resolve(name).id)
    counted = counts(config, models=models, prices=prices, clock=clock)
    route = targets(
        config,
        models=models,
        quota=counted.quota,
        prices=prices,
        permits=lambda call, model: validate.permits(call, model),  # noqa: PLW0108  it is made below
        refusals=refusals,
        environ=environ,
        observe=observe,
        clock=clock,
        rng=rng,
    )
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
    half_price = deferral(config, route.endpoints, models=models, prices=prices, observe=observe, environ=environ)
    queue = durable(
        config,
        admit=validate.admit,
        send=route.end,
        keep=reuse.keep,
        places=route.room_for_jobs,
        quota=counted.quota,
        demands=route.demands(config.half_price.target),
        uplink=route.uplink_for_jobs,
        half_price=half_price,
        forget=forget,
        observe=observe,
        clock=clock,
        rng=rng,
    )
    kept = books(counted, queue=queue, observe=observe, clock=clock)
    offline = Offline(queue.spool, config.spool, uplink=route.uplink, clock=clock)
    answer = road(validate, *queue.stages, reuse.prepare, reuse.keep, offline, reuse.share, route.retry, to=route.end)

    # the port for devices
    chat = ChatService(road=answer, gate=gate, config=config.ingress, clock=clock, observe=observe, random=rng.random)
    node = NodeService(
        node_id=node_id,
        version=__version__,
        config=config.ingress,
        catalogue=models,
        callers=known,
        clock=clock,
        active_calls=lambda: gate.active,
        targets=route.views,
        spool=(queue.spool, config.spool) if queue.spool else None,
        cached_responses=lambda: reuse.stats().response_count,
        serves=route.serves,
    )
    identity = Identity(known, required=config.auth.required, certificates=bool(config.ingress.tls_client_ca_file))
    devices = GrpcServer(
        config=config.ingress,
        methods=methods(chat=chat, node=node, jobs=queue.jobs),
        health=health,
        identity=identity,
        clock=clock,
        observe=observe,
        random=rng.random,
    )

    # what may change while it runs
    live = Live(
        models=models,
        callers=known,
        prices=prices,
        validate=validate,
        identity=identity,
        logs=logs,
        outlets=outlets,
        counted=counted.apply,
        models_changed=reuse.models_changed,
        limits_changed=route.limits_changed,
    )
    source = reloading(config, live, reread=reread, observe=observe, clock=clock)

    # the port for operators
    gauges = Gauges(
        active_calls=lambda: gate.active,
        upstream_in_flight=route.in_flight,
        spool=queue.spool.stats if queue.spool else None,
        half_price=queue.open_batches,
        dispatch=route.lines,
        quota=kept.view,
        cache=reuse.stats,
        config=source.standing,
    )
    admin = operators_port(config, metrics=metrics, gauges=gauges, devices=devices, usage=kept.usage, observe=observe)
    started = node_started(
        config, node_id=node_id, upstream=route.hosts, devices=devices, admin=admin, clock=clock, age_s=age_s
    )

    def stop_waiting() -> None:
        route.stop()
        offline.stop()
        queue.stop()

    async def open_all() -> None:
        await kept.open()
        await reuse.open()

    async def close() -> None:
        await kept.close()
        await reuse.close()
        await half_price.close()
        await route.close()

    daemon = Daemon(
        devices=devices,
        admin=admin,
        background={
            **route.background,
            "configuration": source.run,
            "uplink health": uplink_health.run,
            "storage health": storage_health.run,
            **queue.background,
            **kept.background,
            **reuse.background,
        },
        open=open_all,
        reload=source.ask,
        not_serving=health.drain,
        stop_waiting=stop_waiting,
        drained=queue.drained,
        close=close,
        started=started,
        active_calls=lambda: gate.active,
        grace_s=config.ingress.drain_s,
    )
    return App(daemon=daemon, observe=observe, logs=logs)
