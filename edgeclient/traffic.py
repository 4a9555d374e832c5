"""The wiring of what decides when an attempt begins: limits, estimates, and the order of service. No logic.

A node without rows of limits and callers, whose provider is not asked for any, has none to keep, and its calls do not
pass their arithmetic.
"""

from dataclasses import dataclass

from edgeclient.config.schema import Config
from edgeclient.core.ports import Clock, Observe
from edgeclient.policy.demands import Demands
from edgeclient.policy.pricing import PriceTable
from edgeclient.policy.quota import Quota
from edgeclient.policy.token_estimate import TokenEstimate
from edgeclient.stages.dispatch import Dispatch
from edgeclient.stages.dispatch.reservations import Reservations
from edgeclient.telemetry.dispatch_metrics import DispatchView
from edgeclient.upstream.quota_read import answers_quotas


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What was made.

    Attributes:
        quota: The limits; whoever learns of others tells it.
        demands: What attempts will use.
        dispatch: The stage.
        target: Name of its target.
    """

    quota: Quota
    demands: Demands
    dispatch: Dispatch
    target: str

    def views(self) -> list[DispatchView]:
        """How the line stands."""
        return [
            DispatchView(target=self.target, width=self.dispatch.width, waiting=self.dispatch.waiting()),
        ]


def traffic(config: Config, *, quota: Quota, prices: PriceTable, observe: Observe, clock: Clock) -> Traffic:
    """Make and join what decides when an attempt begins."""
    estimate = TokenEstimate(factor=config.quota.token_factor, assumed_output_tokens=config.quota.assumed_output_tokens)
    demands = Demands(estimate, prices)
    limited = bool(config.limits or config.callers) or answers_quotas(config.upstream)
    dispatch = Dispatch(
        config.dispatch,
        target=config.upstream.name,
        max_in_flight=config.upstream.max_in_flight,
        reservations=Reservations(quota if limited else None, demand=demands.demand, spent=demands.spent),
        observe=observe,
        clock=clock,
    )
    return Traffic(quota=quota, demands=demands, dispatch=dispatch, target=config.upstream.name)
