"""The kinds of values that a setting can have: what fits, how a text is read, and how a misfit is told.

The kind follows from the type of the setting's default, so a section need not name it. Environment variables and flags
know only text; a text means the same in both.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite
from typing import Any

from edgeclient.config.notation import as_toml

_SHOWN_CHARACTERS = 60
_SWITCH = dict.fromkeys(("true", "1", "yes", "on"), True) | dict.fromkeys(("false", "0", "no", "off"), False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A type of value.

    Attributes:
        wants: What a file has to hold, in words.
        wants_text: What a variable or a flag has to hold, in words.
        fits: Tells whether a value is one of this kind.
        read: Makes the value from a text; raises KeyError or ValueError if it stands for none.
        plain: Makes a value that fits into the type itself: a whole number is a number, too.
    """

    wants: str
    wants_text: str
    fits: Callable[[Any], bool]
    read: Callable[[str], Any]
    plain: Callable[[Any], Any]


def kind_of(default: Any) -> Kind:
    """The kind of a setting, given its default."""
    return _KINDS[type(default)]


def misfit(default: Any, value: Any) -> str:
    """Why a value cannot stand where `default` stands, a sentence without its subject; "" if it can."""
    kind = kind_of(default)
    return "" if kind.fits(value) else f"wants {kind.wants}{_example(default)}, got {_shown(value)}"


def from_text(default: Any, text: str) -> Any:
    """The value that a text stands for, given the default of its setting.

    Raises:
        ValueError: It stands for none; the message is a sentence without its subject.
    """
    kind = kind_of(default)
    try:
        return kind.read(text)
    except (KeyError, ValueError):
        raise ValueError(f"wants {kind.wants_text}{_example(default)}, got {_shown(text)}") from None


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_table(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(item, str) for item in value.values())


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _pairs(text: str) -> dict[str, str]:
    pairs = [part.partition("=") for part in _split(text)]
    if not all(equals and key.strip() for key, equals, _ in pairs):
        raise ValueError
    return {key.strip(): value.strip() for key, _, value in pairs}


_KINDS: dict[type, Kind] = {
    bool: Kind(
        wants="true or false",
        wants_text="true or false (or yes, no, on, off, 1, 0)",
        fits=lambda value: isinstance(value, bool),
        read=lambda text: _SWITCH[text.strip().lower()],
        plain=bool,
    ),
    int: Kind(wants="a whole number", wants_text="a whole number", fits=_is_whole, read=int, plain=int),
    float: Kind(wants="a number", wants_text="a number", fits=_is_number, read=float, plain=float),
    str: Kind(wants="text", wants_text="text", fits=lambda value: isinstance(value, str), read=str, plain=str),
    list: Kind(
        wants="a list of texts", wants_text="texts with commas between them", fits=_is_texts, read=_split, plain=list
    ),
    dict: Kind(
        wants="a table of texts",
        wants_text="pairs with commas between them, such as a=b,c=d",
        fits=_is_table,
        read=_pairs,
        plain=dict,
    ),
}


def _example(default: Any) -> str:
    if isinstance(default, bool) or not default:
        return ""
    return f", such as {as_toml(default[:2] if isinstance(default, list) else default)}"


def _shown(value: Any) -> str:
    text = as_toml(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."
