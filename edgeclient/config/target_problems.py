"""What is wrong with the targets taken together, and with what other settings say of them.

Each sentence begins with the path of the setting. The rows themselves were checked one by one (`target_schema.py`), the
names of models are checked with all others (`catalogue.py`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import Any, Protocol

from edgeclient.config.setting import default_of
from edgeclient.config.target_schema import TargetConfig

_OF_ONE_TARGET = ("name", "base_url", "keyless")
"""Settings of the section `upstream` that are a target's own, where there are rows of targets."""


class Settings(Protocol):
    """The configuration, as far as targets are concerned."""

    @property
    def targets(self) -> Sequence[TargetConfig]:
        """The rows."""
        ...

    @property
    def upstream(self) -> Any:
        """The section `upstream`."""
        ...

    @property
    def half_price(self) -> Any:
        """The section `half_price`."""
        ...

    @property
    def limits(self) -> Sequence[Any]:
        """The rows of limits."""
        ...


def target_problems(config: Settings) -> Iterator[str]:
    """What is wrong."""
    rows = config.targets
    names: dict[str, int] = {}
    for index, row in enumerate(rows):
        if (first := names.setdefault(row.name, index)) != index:
            yield f"targets[{index}].name: {row.name!r} is the name of targets[{first}]; give each its own"
    if rows and all(row.local for row in rows):
        yield "targets: every one is local; a local target stands in for others, so take local from at least one"
    yield from _key_problems(rows)
    if rows:
        yield from _unused(config.upstream)
    yield from _reference_problems(config)


def _key_problems(rows: Sequence[TargetConfig]) -> Iterator[str]:
    """The key of the section `upstream` belongs to one account."""
    sharing: int | None = None
    for index, row in enumerate(rows):
        if row.api_key_file or row.keyless:
            continue
        sharing = index if sharing is None else sharing
        if row.of_account != rows[sharing].of_account:
            yield (
                f"targets[{index}].api_key_file: is missing, and the key of [upstream] is that of targets[{sharing}],"
                " of another account; name a file, or give both the same account"
            )


def _unused(upstream: Any) -> Iterator[str]:
    for spec in fields(upstream):
        if spec.name in _OF_ONE_TARGET and getattr(upstream, spec.name) != default_of(spec):
            yield f"upstream.{spec.name}: is not used beside [[targets]]; move it into a row of them"


def _reference_problems(config: Settings) -> Iterator[str]:
    """Other settings name targets and accounts that there are."""
    names = [row.name for row in config.targets if not row.local] or [config.upstream.name]
    wanted = config.half_price.target
    if wanted and wanted not in names:
        there_is = ", ".join(names)
        yield f"half_price.target: no target that is not local is called {wanted!r}; there is {there_is}"
    accounts = {row.of_account for row in config.targets} or {config.upstream.name}
    for index, limit in enumerate(config.limits):
        if limit.account and limit.account not in accounts:
            there_is = ", ".join(sorted(accounts))
            yield f"limits[{index}].account: no target is of the account {limit.account!r}; there is {there_is}"
