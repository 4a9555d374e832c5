"""The wiring of one target: the way there, what decides when an attempt begins, and what makes it. No logic.

A node without rows of limits and callers, whose provider is not asked for any, has none to keep, and its calls do not
pass their arithmetic.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from random import Random

from edgeclient.config.dispatch_schema import DispatchConfig
from edgeclient.config.targets import TargetSettings
from edgeclient.core.call import Call, Handler, road
from edgeclient.core.ports import Clock, Observe
from edgeclient.core.target import Target
from edgeclient.policy.demands import Demands
from edgeclient.policy.pricing import Prices, PriceTable, ScaledPrices
from edgeclient.policy.quota import Quota
from edgeclient.policy.token_estimate import TokenEstimate
from edgeclient.stages.dispatch import Dispatch
from edgeclient.stages.dispatch.reservations import Reservations
from edgeclient.upstream.completion import Upstream
from edgeclient.upstream.endpoint import Endpoint, endpoint_of
from edgeclient.upstream.quota_read import answers_quotas


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What was made.

    Attributes:
        endpoint: The way there.
        demands: What attempts will use.
        dispatch: The line in front of it.
        target: It, as the route sees it.
    """

    endpoint: Endpoint
    demands: Demands
    dispatch: Dispatch
    target: Target

    @property
    def name(self) -> str:
        """Name of the target."""
        return self.target.name


def traffic(
    config: DispatchConfig,
    settings: TargetSettings,
    *,
    quota: Quota,
    arrivals: Iterator[int],
    estimate: TokenEstimate,
    prices: PriceTable,
    environ: Mapping[str, str],
    observe: Observe,
    clock: Clock,
    rng: Random,
) -> Traffic:
    """Make and join what leads to a target.

    Raises:
        SettingError: There is no key, or a file or URL that the settings name cannot be used.
    """
    endpoint = endpoint_of(settings, environ=environ, observe=observe, clock=clock, rng=rng)
    paid: Prices = ScaledPrices(prices, factor=settings.price_factor) if settings.price_factor != 1 else prices
    demands = Demands(estimate, paid, account=settings.account)
    told = answers_quotas(settings.upstream)
    held = Reservations(quota, demand=demands.demand, spent=demands.spent, is_needed=lambda: told or quota.is_limiting)
    dispatch = Dispatch(
        config,
        target=settings.name,
        max_in_flight=settings.upstream.max_in_flight,
        peer_limit=lambda: endpoint.transport.stream_limit,
        reservations=held,
        observe=observe,
        clock=clock,
        arrivals=arrivals,
    )
    upstream = Upstream(
        settings.upstream,
        endpoint.transport,
        observe=observe,
        clock=clock,
        uplink=endpoint.uplink,
        prices=paid,
        serves=settings.serves,
    )
    target = _target(endpoint, attempt=road(dispatch, to=upstream), wait_s=dispatch.wait_s)
    return Traffic(endpoint=endpoint, demands=demands, dispatch=dispatch, target=target)


def _target(endpoint: Endpoint, *, attempt: Handler, wait_s: Callable[[Call, float], float]) -> Target:
    settings = endpoint.settings
    return Target(
        name=settings.name,
        account=settings.account,
        tier=settings.tier,
        weight=settings.weight,
        local=settings.local,
        serves=settings.serves,
        attempt=attempt,
        wait_s=wait_s,
        uplink=lambda: endpoint.uplink.state,
        probe=endpoint.probe.once,
    )
