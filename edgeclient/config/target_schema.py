"""Where requests may go: rows of the table `targets`.

A target is an endpoint with the account that is used there, or a model server on this site. Without any row there is
one target, made of the section `upstream`; with rows, that section holds what they have in common: time limits, the
engine, and what a row leaves open.
"""

import re
from dataclasses import dataclass

from edgeclient.config.endpoint import endpoint_problems, key_file_problems, proxy_problems
from edgeclient.config.setting import Section, setting

OTHERS = "*"
"""In `names`: each model that is not named by itself."""

AS_USUAL = -1.0
"""A price factor that nobody set."""

_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,40}")  # no "/" and no "@": they part a target or an account from what follows


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetConfig(Section):
    """Where requests may go; a row of the table `targets`. No row: one target, made of [upstream]."""

    name: str = setting("", "Name of the target in answers, logs and metrics.")
    base_url: str = setting("", "OpenAI-compatible endpoint. A local one without a key may be http.")
    api_key_file: str = setting(
        "", "File with the API key; may be rotated while running. Empty: upstream.api_key_file or DASHSCOPE_API_KEY."
    )
    keyless: bool = setting(False, "The endpoint wants no API key, and is sent none.")
    account: str = setting("", "Targets of one account share its limits and its key. Empty: an account of its own.")
    tier: int = setting(0, "Lower tiers are asked first, higher ones when no lower one can serve.", least=0, most=100)
    weight: float = setting(1.0, "Share of the calls among the targets of its tier.", least=0.001, most=1000)
    models: list[str] = setting([], "Models that are asked here. Empty: all; of a local one those in names.")
    names: dict[str, str] = setting({}, 'What models are called here, model = name. "*" stands for all others.')
    local: bool = setting(
        False, "On this node or site: used while no other can be reached, last of all, and not for jobs."
    )
    ca_file: str = setting("", "PEM file with a private CA to trust beside the public ones. Empty: as upstream.")
    proxy: str = setting("", "Proxy: environment, none or a URL. Empty: as upstream; none if local.")
    http1: bool = setting(False, "Permit HTTP/1.1 where the endpoint does not speak HTTP/2; a local one always may.")
    max_in_flight: int = setting(0, "Most calls in progress here. 0: as upstream.", least=0, most=10_000)
    price_factor: float = setting(
        AS_USUAL, "Prices are multiplied by this. -1: by 1, and by 0 if local.", least=-1, most=1000
    )

    def conflicts(self) -> list[str]:
        """Where it leads is clear, and nothing here is a secret or goes out as plaintext."""
        problems = [*_name_problems("name", self.name), *self._endpoint_problems(), *self._key_problems()]
        problems += proxy_problems(self.proxy) if self.proxy else []
        if self.account:
            problems += _name_problems("account", self.account)
        if not all(name.strip() for name in self.names.values()):
            problems.append("names: a name is empty")
        if self.local and not self.models and not self.names:
            cure = 'write for instance names = { "*" = "qwen3-8b" }'
            problems.append(f"names: is missing; say what a local server serves instead of a model, {cure}")
        if AS_USUAL < self.price_factor < 0:
            problems.append(f"price_factor: {self.price_factor:g} is neither -1 nor 0 or more")
        return problems

    @property
    def of_account(self) -> str:
        """The account, with what stands for an empty one."""
        return self.account or self.name

    def _endpoint_problems(self) -> list[str]:
        if not self.base_url:
            return ["base_url: is missing; give the endpoint, for instance https://dashscope.aliyuncs.com/..."]
        return endpoint_problems(self.base_url, may_be_plain=self.local and self.keyless)

    def _key_problems(self) -> list[str]:
        problems = key_file_problems(self.api_key_file)
        if self.keyless and self.api_key_file:
            problems.append("keyless: contradicts api_key_file; keep one of them")
        if self.local and not self.keyless and not self.api_key_file:
            problems.append(
                "api_key_file: is missing; the key of the provider is not sent to a local server, so give its own, or"
                " keyless = true"
            )
        return problems


def is_target_name(name: object) -> bool:
    """Whether a target, or an account, may be called so."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def _name_problems(setting_name: str, name: str) -> list[str]:
    if not name:
        return [f"{setting_name}: is missing; answers, logs and metrics name the target"]
    if not is_target_name(name):
        return [f"{setting_name}: {name!r} wants 1 to 40 characters of [A-Za-z0-9_.:-]"]
    return []
