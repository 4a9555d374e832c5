"""Checks what the node is told: its configuration and its API key.

A key in the environment is the daemon's, not that of the shell in which somebody looks for the fault: so where it is
missing, that is said first.
"""

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgeclient.cli.doctor_verdict import Verdict, failing, fine, warning
from edgeclient.config.catalogue import catalogue
from edgeclient.config.credentials import VARIABLE, EnvironmentKey, FileKey, key_source
from edgeclient.config.load import Loaded, load
from edgeclient.config.origins import Source
from edgeclient.config.row_schema import ANY
from edgeclient.config.schema import Config, UpstreamConfig
from edgeclient.config.setting import SettingError
from edgeclient.runtime import SystemClock

_SHORTEST_KEY = 20
_PREFIX = "sk-"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFacts:
    """What is known of the key, the key itself aside.

    Attributes:
        origin: Where it comes from, in words.
        problem: Why there is none; "" if there is one.
        is_plausible: It looks like a key of the provider.
        file_mode: Permissions of its file; None: it comes from the environment.
        is_doubled: The environment has one too, which is not used.
    """

    origin: str
    problem: str = ""
    is_plausible: bool = True
    file_mode: int | None = None
    is_doubled: bool = False


def loaded_or_verdict(
    file: Path | None, environ: Mapping[str, str], overrides: Mapping[str, str]
) -> tuple[Loaded | None, Verdict]:
    """The configuration, if it can be loaded, and what is to be said of it."""
    try:
        loaded = load(file=file, environ=environ, overrides=overrides)
    except SettingError as error:
        return None, judge_problems(error.problems)
    count = sum(origin.source is not Source.DEFAULT for origin in loaded.origins.values())
    return loaded, fine(f"{loaded.file or 'no file, so defaults'}; {count} settings are not the default")


def judge_problems(problems: list[str]) -> Verdict:
    """What is said of a configuration that cannot be loaded."""
    return failing(
        f"{len(problems)} problem{'s' if len(problems) > 1 else ''}",
        seen="; ".join(problems),
        means="the daemon does not start with this configuration",
        do=["correct what is named; `edgeclient config check` tells the problems again"],
    )


def key_of(
    config: UpstreamConfig, environ: Mapping[str, str], *, path: str = "upstream"
) -> tuple[EnvironmentKey | FileKey | None, KeyFacts]:
    """The key, if there is one, and what is known of it; `path` is where the settings of its target stand."""
    origin = config.api_key_file or VARIABLE
    try:
        key = key_source(config.api_key_file, environ, observe=lambda _: None, clock=SystemClock(), path=path)
    except SettingError as error:
        return None, KeyFacts(origin=origin, problem="; ".join(error.problems))
    text = key.current()
    return key, KeyFacts(
        origin=origin,
        is_plausible=text.startswith(_PREFIX) and len(text) >= _SHORTEST_KEY,
        file_mode=_mode(config.api_key_file),
        is_doubled=bool(config.api_key_file) and bool(environ.get(VARIABLE)),
    )


def judge_key_facts(facts: KeyFacts) -> Verdict:
    """Whether there is a key, and whether it is kept well."""
    if facts.problem:
        where = (
            [f"put the key, and nothing else, into {facts.origin}, readable for the user of the daemon"]
            if facts.origin != VARIABLE
            else [
                f"the daemon may have {VARIABLE} from its service file: run this command with the same environment",
                "better: put the key into a file and set upstream.api_key_file",
            ]
        )
        return failing("there is no key", seen=facts.problem, means="the provider answers nobody without one", do=where)
    line = f"from {facts.origin}" + (f" ({VARIABLE} is set too and not used)" if facts.is_doubled else "")
    if facts.file_mode is not None and facts.file_mode & stat.S_IRWXO:
        return warning(
            f"{line}, mode {facts.file_mode:04o}",
            means="every user of this box can read the key, or change it",
            do=[f"chmod 0400 {facts.origin} (in Kubernetes defaultMode: 0400, or 0440 with fsGroup)"],
        )
    if not facts.is_plausible:
        return warning(
            f"{line}, does not look like a key of the provider",
            means=f"its keys begin with {_PREFIX} and are longer; those of a relay may look otherwise",
            do=["if it is meant for the provider: copy it again, whole"],
        )
    return fine(line if facts.file_mode is None else f"{line}, mode {facts.file_mode:04o}")


def models_named(loaded: Loaded) -> tuple[str, dict[str, str]]:
    """The default model, and for each other model that the configuration names the setting that does."""
    config = loaded.config
    known = catalogue(config)
    default = known.resolve(config.chat.default_model).id
    named: dict[str, str] = {}
    for path, name in _names(loaded, config):
        named.setdefault(known.resolve(name).id, path)
    named.pop(default, None)
    return default, named


def _names(loaded: Loaded, config: Config) -> list[tuple[str, str]]:
    found = [(f"chat.aliases.{alias}", name) for alias, name in config.chat.aliases.items()]
    found += [(f"models.{spec.id}", spec.id) for spec in config.models if f"models.{spec.id}" in loaded.origins]
    found += [(f"prices[{index}]", row.model) for index, row in enumerate(config.prices)]
    found += [(f"limits[{index}]", row.model) for index, row in enumerate(config.limits) if row.model != ANY]
    found += [(f"callers[{index}]", name) for index, row in enumerate(config.callers) for name in row.models]
    return found


def _mode(path: str) -> int | None:
    if not path:
        return None
    try:
        return stat.S_IMODE(os.stat(path).st_mode)  # noqa: PTH116  as in `credentials.py`
    except OSError:
        return None
