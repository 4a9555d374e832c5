"""What a setting is: a value with its type, default, limits and what it is for, checked at birth.

A section of the configuration (`schema.py`) is a frozen dataclass made of settings and is handed as it is to the part
that uses it; no other default exists anywhere. It reports *all* that is wrong with it at once, each with the path of
the setting. The loader, the example file, the flags and the environment variables are made from the same facts, so none
can drift.
"""

from dataclasses import MISSING, field, fields
from functools import partial
from typing import Any, cast

from edgeclient.config.kind import kind_of, misfit
from edgeclient.config.notation import as_toml


class SettingError(ValueError):
    """Settings are wrong.

    Attributes:
        problems: One sentence each, beginning with the path of the setting.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def setting(
    default: Any,
    help: str,  # noqa: A002  as in argparse and click
    *,
    least: float | None = None,
    most: float | None = None,
    choices: tuple[str, ...] = (),
    reloads: bool = False,
) -> Any:
    """A setting with its default and what has to be known about it.

    Args:
        default: Value if nobody sets it. Its type is the type of the setting.
        help: What it does, one or two sentences.
        least: Smallest permitted number.
        most: Largest permitted number.
        choices: The only values that a text may have.
        reloads: A change takes effect without a restart.
    """
    facts = {"help": help, "least": least, "most": most, "choices": choices, "reloads": reloads}
    if isinstance(default, dict | list):
        return field(default_factory=default.copy, metadata=facts)
    return field(default=default, metadata=facts)


reloadable = partial(setting, reloads=True)
"""A setting whose change takes effect without a restart; `reload.py` tells how."""


def default_of(spec: Any) -> Any:
    """The default of a dataclass field, made anew if it is a list or a table."""
    return spec.default if spec.default_factory is MISSING else spec.default_factory()


def reloads(spec: Any) -> bool:
    """A change of this field of a section takes effect without a restart."""
    return bool(spec.metadata["reloads"])


class Section:
    """Base of all sections: checks each setting against its own type and limits, then the section as a whole."""

    __slots__ = ()

    def __post_init__(self) -> None:
        """Raise `SettingError` with all problems."""
        given = [(spec, getattr(self, spec.name)) for spec in fields(cast("Any", self))]
        misfits = {spec.name: wrong for spec, value in given if (wrong := misfit(default_of(spec), value))}
        problems = [f"{name}: {wrong}" for name, wrong in misfits.items()]
        problems += [f"{spec.name}: {wrong}" for spec, value in given if (wrong := _beyond_limits(spec, value))]
        if not misfits:  # what settings of a wrong type are together, nobody can tell
            problems += self.conflicts()
        if problems:
            raise SettingError(problems)

    def conflicts(self) -> list[str]:
        """What is wrong with the settings taken together."""
        return []


def fitted(cls: type[Section], name: str, value: Any) -> Any:
    """The value in the type of a section's setting, if it fits at all: a whole number becomes a number."""
    default = next(default_of(spec) for spec in fields(cast("Any", cls)) if spec.name == name)
    return value if misfit(default, value) else kind_of(default).plain(value)


def _beyond_limits(spec: Any, value: Any) -> str:
    facts = spec.metadata
    if facts["choices"] and isinstance(value, str) and value not in facts["choices"]:
        return f"{value!r} is none of {', '.join(facts['choices'])}"
    if isinstance(value, int | float) and not isinstance(value, bool):
        if facts["least"] is not None and value < facts["least"]:
            return f"{value} is too small, the least is {as_toml(facts['least'])}"
        if facts["most"] is not None and value > facts["most"]:
            return f"{value} is too large, the most is {as_toml(facts['most'])}"
    return ""
