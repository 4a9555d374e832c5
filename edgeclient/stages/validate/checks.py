"""The kinds of rules that a single field can have; `rules.py` says which field has which.

Each function makes a check: it takes the value of a set field and returns what is wrong with it. Comparisons are
written so that NaN, for which every comparison is false, is out of every range. No sentence quotes the value of a free
text, because sentences are logged.
"""

import re
from collections.abc import Sized
from math import inf
from typing import Any

from google.protobuf.descriptor import EnumDescriptor
from google.protobuf.duration_pb2 import Duration

from edgeclient.stages.validate.findings import Check, choice_of

_NANOS_PER_S = 1_000_000_000
_NO_DURATION = "is no Duration; nanos have at most 9 digits and the sign of seconds, seconds at most 10,000 years"
_MOST_DURATION_S = 315_576_000_000  # 10,000 years, the range that google.protobuf.Duration promises


def number(
    *, least: float | None = None, above: float | None = None, most: float | None = None, below: float | None = None
) -> Check:
    """A number in a range; `above` and `below` are bounds that the number itself may not have."""
    wanted = _range(least=least, above=above, most=most, below=below)
    low = next((bound for bound in (least, above) if bound is not None), -inf)
    high = next((bound for bound in (most, below) if bound is not None), inf)
    open_ends = frozenset({above, below} - {None})

    def check(value: Any) -> str | None:  # an int or a float, which the sentence tells apart
        if low <= value <= high and value not in open_ends:
            return None
        shown = f"{value:.7g}" if isinstance(value, float) else value  # 7 digits are what a float of 32 bits knows
        return f"{shown} is out of range; write {wanted}"

    return check


def span(*, least_s: float | None = None, above_s: float | None = None, most_s: float = _MOST_DURATION_S) -> Check:
    """A Duration in a range."""
    most = most_s if most_s < _MOST_DURATION_S else None
    wanted = _range(least=least_s, above=above_s, most=most, unit="s")
    low = next((bound for bound in (least_s, above_s) if bound is not None), -inf)

    def check(value: Duration) -> str | None:
        seconds, nanos = value.seconds, value.nanos
        if not -_NANOS_PER_S < nanos < _NANOS_PER_S or seconds * nanos < 0 or abs(seconds) > _MOST_DURATION_S:
            return _NO_DURATION
        length_s = seconds + nanos / _NANOS_PER_S
        if low <= length_s <= most_s and length_s != above_s:
            return None
        return f"{length_s:.7g}s is out of range; write {wanted}"

    return check


def text(*, most: int, pattern: str = "", alphabet: str = "") -> Check:
    """A text of 1 to `most` characters.

    Args:
        most: Longest text in Unicode code points.
        pattern: Regular expression for a single character; "" if any will do.
        alphabet: What the pattern means, in words.
    """
    allowed = re.compile(f"(?:{pattern})*") if pattern else None
    wanted = f"1 to {most} {alphabet or 'characters'}"

    def check(value: str) -> str | None:
        if not value:
            return f"is empty; write {wanted}"
        if len(value) > most:
            return f"has {len(value)} characters; write {wanted}"
        if allowed is not None and not allowed.fullmatch(value):
            return f"has a character that is not allowed; write {wanted}"
        return None

    return check


def count(*, most: int, what: str) -> Check:
    """A list that is not too long."""

    def check(value: Sized) -> str | None:
        return None if len(value) <= most else f"has {len(value)} {what}; at most {most} are allowed"

    return check


def choice(enum: EnumDescriptor) -> Check:
    """A number that the enumeration knows: proto3 hands unknown ones through, and they must not mean the default."""
    known = frozenset(value.number for value in enum.values)
    wanted = f"no {enum.name}; write {choice_of([value.name for value in enum.values if value.number])}"

    def check(value: int) -> str | None:
        return None if value in known else f"{value} is {wanted}"

    return check


def _range(
    *,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    below: float | None = None,
    unit: str = "",
) -> str:
    low = f"more than {above:.10g}{unit}" if least is None and above is not None else ""
    low = f"at least {least:.10g}{unit}" if least is not None else low
    high = f"less than {below:.10g}{unit}" if most is None and below is not None else ""
    high = f"at most {most:.10g}{unit}" if most is not None else high
    return " and ".join(filter(None, (low, high)))
