"""What a configuration that was read anew means for a daemon that runs: what takes effect, and what wants a restart.

A setting says by itself whether it can change while the daemon runs (`setting.reloadable`). What can is taken over
together, the rest stays as it is until the next start, and both are told by their paths. A row is told by what it is
about, such as `callers[camera-7].models`, because its number changes with every row before it.

What is in force then is a mixture that nobody wrote. So it is checked as a file is, and if it contradicts itself,
nothing is taken over: a caller that may ask only a model that is new, too, waits for the restart with it.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from hashlib import sha256
from typing import Any, cast

from edgeclient.config.catalogue import model_problems
from edgeclient.config.models import model_path
from edgeclient.config.row_schema import ROWS
from edgeclient.config.schema import SECTIONS, Config
from edgeclient.config.setting import Section, SettingError, reloads

_DIGEST_CHARACTERS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What follows from a configuration that was read anew.

    Attributes:
        config: What is in force once it is applied.
        applied: Paths of what differs and takes effect.
        waiting: Paths of what differs and wants a restart.
    """

    config: Config
    applied: tuple[str, ...]
    waiting: tuple[str, ...]


def change(running: Config, read: Config) -> Change:
    """What follows from `read` for a daemon that runs with `running`.

    Raises:
        SettingError: What can take effect contradicts what cannot; nothing must be applied.
    """
    parts: dict[str, Any] = {}
    applied: list[str] = []
    waiting = [f"{model_path(name)}" for name in _changed_models(running, read)]
    for name in SECTIONS:
        before, after = getattr(running, name), getattr(read, name)
        differing = [spec for spec in _settings(before) if getattr(before, spec.name) != getattr(after, spec.name)]
        parts[name] = {spec.name: getattr(after, spec.name) for spec in differing if reloads(spec)}
        applied += [f"{name}.{spec.name}" for spec in differing if reloads(spec)]
        waiting += [f"{name}.{spec.name}" for spec in differing if not reloads(spec)]
    for name, cls in ROWS.items():
        before, after = getattr(running, name), getattr(read, name)
        can = all(map(reloads, fields(cast("Any", cls))))
        parts[name] = after if can else before
        (applied if can else waiting).extend(_changed_rows(name, before, after))
    return Change(config=_mixed(running, parts, waiting), applied=tuple(applied), waiting=tuple(waiting))


def digest(config: Config) -> str:
    """Tells two configurations apart, on one node or on many; of the same version, for another one has more to set."""
    return sha256(repr(config).encode()).hexdigest()[:_DIGEST_CHARACTERS]


def _mixed(running: Config, parts: dict[str, Any], waiting: list[str]) -> Config:
    try:
        sections = {name: replace(getattr(running, name), **parts[name]) for name in SECTIONS}
        mixed = replace(running, **sections, **{name: parts[name] for name in ROWS})
        problems = model_problems(mixed)
    except SettingError as error:
        problems = error.problems
    if problems:
        until = f"; that holds until the restart that {', '.join(waiting)} want" if waiting else ""
        raise SettingError([f"{problem}{until}" for problem in problems])
    return mixed


def _settings(section: Section) -> tuple[Any, ...]:
    return fields(cast("Any", section))


def _changed_models(running: Config, read: Config) -> Iterator[str]:
    before, after = ({spec.id: spec for spec in config.models} for config in (running, read))
    for name in {**before, **after}:
        if before.get(name) != after.get(name):
            yield name


def _changed_rows(table: str, before: Sequence[Section], after: Sequence[Section]) -> Iterator[str]:
    earlier, later = _by_subject(before), _by_subject(after)
    for key in {**earlier, **later}:
        path = f"{table}[{key}]"
        if key not in earlier or key not in later:
            yield path
            continue
        for spec in _settings(later[key]):
            if getattr(earlier[key], spec.name) != getattr(later[key], spec.name):
                yield f"{path}.{spec.name}"


def _by_subject(rows: Sequence[Section]) -> dict[str, Section]:
    """The rows by what they are about; of several about the same, each has its number among them."""
    seen: Counter[str] = Counter()
    found = {}
    for row in rows:
        subject = getattr(row, _settings(row)[0].name)
        seen[subject] += 1
        found[subject if seen[subject] == 1 else f"{subject} {seen[subject]}"] = row
    return found
