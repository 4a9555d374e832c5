"""The limits of one model, or of all whose name matches, as a flag or the admin API writes them.

A row without any number only measures: nothing is refused, but the highest use is on record.
"""

from typing import Final

import msgspec

LOOKBACK_MAX_S: Final = 3_500
LEAST: Final = {
    "rpm": 1,
    "tpm": 1,
    "workspace_rpm": 1,
    "workspace_tpm": 1,
    "concurrency": 1,
    "burst_rpm": 1,
    "burst_tpm": 1,
    "burst_growth": 0,
    "burst_lookback_s": 1,
    "request_period_s": 1,
    "usage_period_s": 1,
}


class ModelLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One row; what is None is not limited.

    Attributes:
        model: Name or glob; the first row that matches a model holds for it. Each name is counted by itself.
        rpm: Requests of a minute; a sixtieth of it holds for each second.
        tpm: Tokens of a minute, input and output; a sixtieth of it holds for each second.
        workspace_rpm: A lower limit of the workspace.
        workspace_tpm: The same for tokens.
        concurrency: Calls at a time.
        burst_rpm: Growth rule: so many requests of a minute are allowed whatever was before.
        burst_tpm: Growth rule: the same for tokens.
        burst_growth: Growth rule: above that, so much more than at `burst_lookback_s` ago; 0.3 is 30 %.
        burst_lookback_s: Growth rule: how long ago the use is that the present one is compared with.
        refused_count: Refused calls are requests too. The provider does not say.
        reserve_output: All output counts when a call begins, as if its size were known, not as it is generated.
        request_period_s: The period in which the quota API tells the request limit: 60, or 1.
        usage_period_s: The same for tokens; the provider was seen to tell 6 seconds too.
    """

    model: str
    rpm: int | None = None
    tpm: int | None = None
    workspace_rpm: int | None = None
    workspace_tpm: int | None = None
    concurrency: int | None = None
    burst_rpm: int | None = None
    burst_tpm: int | None = None
    burst_growth: float = 0.3
    burst_lookback_s: int = 300
    refused_count: bool = False
    reserve_output: bool = False
    request_period_s: int = 60
    usage_period_s: int = 60

    def __post_init__(self) -> None:
        """Refuse what cannot be a limit, naming the field."""
        for name, least in LEAST.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"{name} is {value}, must be at least {least} (leave it out for no limit)")
        if self.burst_lookback_s > LOOKBACK_MAX_S:
            raise ValueError(f"burst_lookback_s is {self.burst_lookback_s}, must not be above {LOOKBACK_MAX_S}")

    @property
    def requests_per_minute(self) -> int | None:
        """The lower one of account and workspace."""
        return _lower(self.rpm, self.workspace_rpm)

    @property
    def tokens_per_minute(self) -> int | None:
        """The lower one of account and workspace."""
        return _lower(self.tpm, self.workspace_tpm)


def _lower(one: int | None, other: int | None) -> int | None:
    return min((each for each in (one, other) if each is not None), default=None)
