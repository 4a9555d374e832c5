"""The wiring of what can change while the node runs: who takes a new configuration, and in which order. No logic.

Each part has one `apply`. All of them are called in one turn of the event loop, so a call meets the configuration of
before or the one of after, and no mixture. What a call has been granted already it keeps.
"""

from collections.abc import Callable
from dataclasses import dataclass

from edgeclient.config.callers import apply_callers
from edgeclient.config.schema import Config
from edgeclient.config.source import ConfigSource, Reread
from edgeclient.core.callers import Callers
from edgeclient.core.models import Catalogue
from edgeclient.core.ports import Clock, Observe
from edgeclient.ingress.identity import Identity
from edgeclient.policy.pricing import PriceTable
from edgeclient.stages.validate import Validate
from edgeclient.telemetry.fanout import Fanout
from edgeclient.telemetry.logs import Logs


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """The parts that take a new configuration.

    Attributes:
        models, callers, prices, validate, identity, logs, outlets: The parts.
        counted: Takes limits and budgets.
        models_changed: Told that names of models mean something else now.
        limits_changed: Told that limits are others now.
    """

    models: Catalogue
    callers: Callers
    prices: PriceTable
    validate: Validate
    identity: Identity
    logs: Logs
    outlets: Fanout
    counted: Callable[[Config], None]
    models_changed: Callable[[], None]
    limits_changed: Callable[[], None]

    def apply(self, config: Config) -> None:
        """From now on this is in force. It was checked before; names of models come first, for the others use them."""
        if self.models.apply(default=config.chat.default_model, aliases=config.chat.aliases):
            self.models_changed()
        apply_callers(self.callers, config, self.models)
        self.prices.apply(config.prices)
        self.counted(config)
        self.validate.apply(config.chat)
        self.identity.apply(required=config.auth.required)
        self.logs.apply(config.log)
        self.outlets.apply({"logs": self.logs.table})
        self.limits_changed()


def reloading(config: Config, live: Live, *, reread: Reread | None, observe: Observe, clock: Clock) -> ConfigSource:
    """Make what reads the configuration again."""
    return ConfigSource(config, reread=reread, apply=live.apply, observe=observe, clock=clock)
