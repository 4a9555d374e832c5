"""What stands in rows of the file, as many as the operator likes: prices, callers, limits; targets have a module.

A row is a section that occurs more than once, so it is checked in the same way. None is built in. Prices change too
often, and differ too much between regions and contracts, to live in code; limits belong to an account, callers to a
site.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from edgeclient.config.setting import Section, reloadable
from edgeclient.config.target_schema import TargetConfig

ANY = "*"
"""Stands for every model, or every caller, that has no row of its own."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9_.:@/-]{1,64}")
_CURRENCY = re.compile(r"[A-Z]{3}")
_PRIORITIES = ("low", "normal", "high")


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceConfig(Section):
    """Price of a model for requests up to a size; a row of the table `prices`.

    The provider picks the row by the input of the single request and applies it to the whole of it.
    """

    model: str = reloadable("", "Model id.")
    currency: str = reloadable("CNY", "ISO 4217 code.")
    up_to_input_tokens: int = reloadable(0, "Largest input this row is for. 0: any.", least=0)
    input_per_million: float = reloadable(0.0, "Price of a million input tokens.", least=0)
    output_per_million: float = reloadable(0.0, "Price of a million output tokens, reasoning included.", least=0)
    cached_per_million: float = reloadable(
        -1.0, "Price of a million input tokens that the provider had cached. -1: as input.", least=-1
    )
    thinking_per_million: float = reloadable(
        -1.0, "Price of a million output tokens of an answer with reasoning. -1: as output.", least=-1
    )
    batch_factor: float = reloadable(
        0.5, "The part of these prices that the provider's batch interfaces take.", least=0, most=1
    )

    def conflicts(self) -> list[str]:
        """A price is the price of something."""
        problems = [] if self.model else ["model: is missing; name the model that the price is for"]
        return problems + _currency_problems("currency", self.currency)


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitConfig(Section):
    """What the provider's account may be asked of one model; a row of the table `limits`. 0: no limit is known."""

    model: str = reloadable("", 'Model id; "*": each model that has no row of its own.')
    requests_per_minute: int = reloadable(0, "Most requests in any 60 seconds.", least=0)
    tokens_per_minute: int = reloadable(0, "Most tokens, input and output, in any 60 seconds.", least=0)
    requests_per_second: int = reloadable(0, "Most requests in any second. 0: a sixtieth of those per minute.", least=0)
    tokens_per_second: int = reloadable(0, "Most tokens in any second. 0: a sixtieth of those per minute.", least=0)
    max_in_flight: int = reloadable(0, "Most requests in progress.", least=0)
    growth_tokens: int = reloadable(
        0, "Tokens per minute up to which traffic may grow at once; above, by 30 % in five minutes.", least=0
    )
    account: str = reloadable("", "Account of the targets that this is for. Empty: each account by itself.")

    def conflicts(self) -> list[str]:
        """A limit is the limit of something."""
        return [] if self.model else ['model: is missing; name the model that the limit is for, or "*"']


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerConfig(Section):
    """Who may call, and how much; a row of the table `callers`. 0: no limit."""

    name: str = reloadable("", 'Name in logs, metrics and usage; "*": each caller that has no row of its own.')
    token_sha256: list[str] = reloadable(
        [], "SHA-256 of each bearer token, in hex. The token itself belongs elsewhere."
    )
    certificates: list[str] = reloadable([], "Common names or DNS names of client certificates.")
    models: list[str] = reloadable([], "Models that may be asked. Empty: all.")
    max_priority: str = reloadable("high", "Highest priority; a higher one is taken down to it.", choices=_PRIORITIES)
    requests_per_minute: int = reloadable(0, "Most requests in any 60 seconds.", least=0)
    tokens_per_minute: int = reloadable(0, "Most tokens, input and output, in any 60 seconds.", least=0)
    max_in_flight: int = reloadable(0, "Most requests in progress.", least=0)
    budget_per_day: float = reloadable(0.0, "Most money in a day (UTC), by the table of prices.", least=0)
    budget_currency: str = reloadable("CNY", "ISO 4217 code of the budget.")

    def conflicts(self) -> list[str]:
        """Who is meant is clear, and nothing here is a secret."""
        problems = []
        if not self.name:
            problems.append('name: is missing; name the caller, or "*"')
        elif self.name != ANY and not _NAME.fullmatch(self.name):
            problems.append(f"name: {self.name!r} wants 1 to 64 characters of [A-Za-z0-9_.:@/-]")
        if self.name == ANY and (self.token_sha256 or self.certificates):
            problems.append('name: "*" stands for callers without a row and has no token or certificate of its own')
        if not all(_SHA256.fullmatch(digest) for digest in self.token_sha256):  # perhaps a token: not repeated
            problems.append("token_sha256: wants 64 hex digits each; make one with: printf %s TOKEN | sha256sum")
        if not all(self.certificates):
            problems.append("certificates: a name is empty")
        return problems + _currency_problems("budget_currency", self.budget_currency)


def _currency_problems(name: str, code: str) -> list[str]:
    return [] if _CURRENCY.fullmatch(code) else [f"{name}: {code!r} is no ISO 4217 code, write for instance CNY"]


ROWS: Mapping[str, type[Section]] = MappingProxyType(
    {"targets": TargetConfig, "prices": PriceConfig, "limits": LimitConfig, "callers": CallerConfig}
)
"""The kinds of rows by the name of their table in the file; the first setting of each says what a row is about."""
