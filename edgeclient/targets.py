"""The wiring of the targets: for each the way there, its line and what asks it once; over all of them the route.

No logic but sums: what the rest of the house asks about "the provider" is answered here for all targets together.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import count
from random import Random
from typing import Any

from edgeclient.config.schema import Config
from edgeclient.config.targets import targets_of
from edgeclient.core.events import Event, KeyChanged, Uplink
from edgeclient.core.models import Catalogue
from edgeclient.core.ports import Clock, Observe
from edgeclient.core.route_events import Breaker
from edgeclient.ingress.node import TargetView
from edgeclient.ingress.refusals import Refusals
from edgeclient.policy.demands import Demands
from edgeclient.policy.pricing import PriceTable
from edgeclient.policy.quota import Quota
from edgeclient.policy.retry_budget import RetryBudget
from edgeclient.policy.token_estimate import TokenEstimate
from edgeclient.policy.uplink import PREFERENCE
from edgeclient.runtime import Work
from edgeclient.telemetry.dispatch_metrics import DispatchView
from edgeclient.traffic import Traffic, traffic
from edgeclient.upstream.endpoint import Endpoint
from edgeclient.upstream.quota_read import QuotaReader, answers_quotas
from edgeclient.upstream.retry import Retry
from edgeclient.upstream.route import Route
from edgeclient.upstream.tour import Permits
from edgeclient.upstream.ways import Way as RouteWay


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """What was made.

    Attributes:
        parts: The targets, in the order of preference.
        retry: The stage before the end of the road: another round after a pause.
        end: The end of the road: answers a call by an attempt at one, or by several.
        refusals: What they refuse this node.
        background: What runs all the time.
    """

    parts: tuple[Traffic, ...]
    retry: Retry
    end: Route
    refusals: Refusals
    background: Mapping[str, Work]

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """The endpoints of the targets, in the order of preference."""
        return tuple(part.endpoint for part in self.parts)

    @property
    def hosts(self) -> str:
        """The hosts of the endpoints, for people; of several targets with their names."""
        if len(self.parts) == 1:
            return self.parts[0].endpoint.host
        return ", ".join(f"{part.name} ({part.endpoint.host})" for part in self.parts)

    def demands(self, target: str) -> Demands:
        """What attempts at a target will use; "": at the first one."""
        return next(part.demands for part in self.parts if target in ("", part.name))

    def serves(self, model_id: str) -> bool:
        """Whether one of them serves the model with this id."""
        return any(part.target.serves(model_id) is not None for part in self.parts)

    def uplink(self) -> Uplink:
        """Best state of all."""
        return _best(part.endpoint.uplink.state for part in self.parts)

    def uplink_for_jobs(self) -> Uplink:
        """Best state of those that stored jobs are sent to."""
        return _best(part.endpoint.uplink.state for part in self._for_jobs)

    def room_for_jobs(self) -> int:
        """How many jobs make sense at the moment, over all targets that can be reached; at least one."""
        open_to = [part for part in self._for_jobs if part.endpoint.uplink.state is not Uplink.OFFLINE]
        return sum(part.dispatch.room_for_jobs() for part in open_to) or 1

    def in_flight(self) -> dict[str, int]:
        """Requests in progress, by target."""
        return {part.name: part.endpoint.transport.in_flight for part in self.parts}

    def views(self) -> list[TargetView]:
        """What NodeStatus tells of them."""
        ways = {way.target.name: way for way in self.end.ways.all}
        return [
            TargetView(
                name=part.name,
                host=part.endpoint.host,
                protocol=part.endpoint.transport.protocol,
                uplink=part.endpoint.uplink.state,
                since_s=part.endpoint.uplink.since_wall_s,
                account=part.target.account,
                local=part.target.local,
                problem=part.endpoint.problem or self.refusals.of(part.name) or _rest(ways[part.name]),
                tier=part.target.tier,
                breaker=ways[part.name].breaker.state,
            )
            for part in self.parts
        ]

    def lines(self) -> list[DispatchView]:
        """How the lines in front of them stand."""
        return [
            DispatchView(target=part.name, width=part.dispatch.width, waiting=part.dispatch.waiting())
            for part in self.parts
        ]

    def uplink_changed(self, event: Event) -> None:
        """Take the fact that the uplink of one has changed."""
        self.end.uplink_changed(event)
        for part in self.parts:
            part.dispatch.uplink_changed(event)

    def key_changed(self, event: Event) -> None:
        """Take the fact that one has a new key."""
        for part in self.parts:
            if isinstance(event, KeyChanged) and event.target == part.name:
                self.end.key_changed(part.target.account)

    def limits_changed(self) -> None:
        """Take the fact that limits have changed."""
        for part in self.parts:
            part.dispatch.limits_changed()

    def stop(self) -> None:
        """End all pauses and waits for a turn, and begin none any more."""
        self.retry.stop()
        for part in self.parts:
            part.dispatch.stop()

    async def close(self) -> None:
        """Close all connections."""
        for part in self.parts:
            await part.endpoint.transport.close()

    @property
    def _for_jobs(self) -> tuple[Traffic, ...]:
        return tuple(part for part in self.parts if not part.target.local)


def targets(
    config: Config,
    *,
    models: Catalogue,
    quota: Quota,
    prices: PriceTable,
    permits: Permits,
    refusals: Refusals,
    environ: Mapping[str, str],
    observe: Observe,
    clock: Clock,
    rng: Random,
) -> Targets:
    """Make and join the targets of the configuration.

    Args:
        config: The configuration.
        models: The models.
        quota: Limits of accounts and callers.
        prices: What answers cost.
        permits: Which models may stand in for the one that a call asks.
        refusals: What targets refuse this node.
        environ: The environment, for the key and the proxy.
        observe: Takes facts.
        clock: Time.
        rng: Chance.

    Raises:
        SettingError: One has no key, or a file or URL that the settings name cannot be used.
    """
    estimate, arrivals = _estimate(config), count(1)
    parts = [
        traffic(
            config.dispatch,
            settings,
            quota=quota,
            arrivals=arrivals,
            estimate=_estimate(config) if settings.local else estimate,  # another model counts and writes otherwise
            prices=prices,
            environ=environ,
            observe=observe,
            clock=clock,
            rng=rng,
        )
        for settings in targets_of(config, models)
    ]
    repeats = RetryBudget()
    retry = Retry(config.upstream, observe=observe, clock=clock, rng=rng, budget=repeats)
    route = Route(
        config.route,
        [part.target for part in parts],
        max_attempts=config.upstream.max_attempts,
        catalogue=models,
        permits=permits,
        budget=repeats,
        observe=observe,
        clock=clock,
        rng=rng,
    )
    endpoints = [part.endpoint for part in parts]
    readers = _readers(endpoints, quota=quota, observe=observe, clock=clock)
    background = {"route": route.run, **_keepers(endpoints), **readers}
    return Targets(parts=tuple(parts), retry=retry, end=route, refusals=refusals, background=background)


def _estimate(config: Config) -> TokenEstimate:
    return TokenEstimate(factor=config.quota.token_factor, assumed_output_tokens=config.quota.assumed_output_tokens)


def _keepers(endpoints: Iterable[Endpoint]) -> dict[str, Work]:
    """What keeps the state of the ways and the keys fresh."""
    work: dict[str, Work] = {}
    for endpoint in endpoints:
        work[f"probe of {endpoint.name}"] = endpoint.probe.run
        work[f"key of {endpoint.name}"] = endpoint.keep_key
    return work


def _readers(endpoints: Iterable[Endpoint], *, quota: Quota, observe: Observe, clock: Clock) -> dict[str, Work]:
    """What asks the provider for its limits: once for each account."""
    readers: dict[str, Work] = {}
    for endpoint in endpoints:
        account, upstream = endpoint.settings.account, endpoint.settings.upstream
        name = f"quota reader of {account}"
        if name not in readers and answers_quotas(upstream):
            ids = {there: model_id for model_id, there in endpoint.settings.names.items()}
            lower = partial(_lower, quota, ids, account)
            reader = QuotaReader(upstream, endpoint.transport, lower=lower, observe=observe, clock=clock)
            readers[name] = reader.run
    return readers


def _lower(quota: Quota, ids: Mapping[str, str], account: str, name: str, **limits: Any) -> None:
    """A provider tells the limits of a model by its own name for it."""
    quota.lower(ids.get(name, name), account=account, **limits)


def _rest(way: RouteWay) -> str:
    return "" if way.breaker.state is Breaker.CLOSED else "It has failed too often and rests; then one call tries it"


def _best(states: Iterable[Uplink]) -> Uplink:
    return min(states, key=PREFERENCE.index, default=Uplink.OFFLINE)
