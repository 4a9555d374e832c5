"""The targets that a configuration describes, each complete: what its row leaves open comes from `upstream`.

Whoever makes the parts of a target gets an `UpstreamConfig` of its own, as if it were the only one.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from edgeclient.config.schema import Config, UpstreamConfig
from edgeclient.config.target_schema import AS_USUAL, OTHERS, TargetConfig
from edgeclient.core.models import Catalogue

_OWN = re.compile(r"\bupstream\.(base_url|api_key_file|ca_file|proxy|http1|max_in_flight)\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSettings:
    """A target as it is to be made.

    Attributes:
        upstream: Its name, the way there and the time limits.
        path: Where its settings stand, such as `targets[0]`; complaints begin with it.
        account: Who shares quota, key and arrears.
        tier: Lower ones are asked first.
        weight: Share among those of its tier.
        local: On this node or site.
        price_factor: Prices are multiplied by this.
        only: Ids of the models that it serves; empty: see `others`.
        names: What models are called there, by id.
        others: What all other models are called there; "": as they are; None: they are not served.
    """

    upstream: UpstreamConfig
    path: str = "upstream"
    account: str = ""
    tier: int = 0
    weight: float = 1.0
    local: bool = False
    price_factor: float = 1.0
    only: frozenset[str] = frozenset()
    names: Mapping[str, str] = field(default_factory=dict)
    others: str | None = ""

    @property
    def name(self) -> str:
        """Name of the target."""
        return self.upstream.name

    def in_own_terms(self, sentence: str) -> str:
        """A sentence about settings of `upstream`, about those of this target."""
        return sentence if self.path == "upstream" else _OWN.sub(rf"{self.path}.\1", sentence)

    def serves(self, model_id: str) -> str | None:
        """Name there of the model with this id; None: it is not served there."""
        if self.only and model_id not in self.only:
            return None
        name = self.names.get(model_id, self.others)
        return model_id if name == "" else name


def targets_of(config: Config, models: Catalogue) -> tuple[TargetSettings, ...]:
    """The targets, in the order in which they are preferred: by tier, then as they stand, local ones last."""
    if not config.targets:
        return (TargetSettings(upstream=config.upstream, account=config.upstream.name),)
    made = [_target(config.upstream, row, index, models) for index, row in enumerate(config.targets)]
    return tuple(sorted(made, key=lambda target: (target.local, target.tier)))


def _target(upstream: UpstreamConfig, row: TargetConfig, index: int, models: Catalogue) -> TargetSettings:
    only = frozenset(models.resolve(name).id for name in row.models)
    others = row.names.get(OTHERS, None if row.local and not only else "")
    return TargetSettings(
        upstream=replace(
            upstream,
            name=row.name,
            base_url=row.base_url,
            api_key_file=row.api_key_file or ("" if row.keyless else upstream.api_key_file),
            keyless=row.keyless,
            ca_file=row.ca_file or upstream.ca_file,
            proxy=row.proxy or ("none" if row.local else upstream.proxy),
            http1=row.http1 or row.local or upstream.http1,
            max_in_flight=row.max_in_flight or upstream.max_in_flight,
        ),
        path=f"targets[{index}]",
        account=row.of_account,
        tier=row.tier,
        weight=row.weight,
        local=row.local,
        price_factor=row.price_factor if row.price_factor != AS_USUAL else float(not row.local),
        only=only,
        names={models.resolve(name).id: there for name, there in row.names.items() if name != OTHERS},
        others=others,
    )
