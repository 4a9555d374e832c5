"""Where a value comes from: the default, a line of the file, an environment variable or a flag.

Every value of the configuration has an origin, so that the question "why is it so on this box" has an answer in
`edgeclient config show` and in every complaint about a value.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Any


class Source(Enum):
    """What set a value, weakest first: a later one wins over an earlier one."""

    DEFAULT = "default"
    FILE = "file"
    ENVIRONMENT = "environment"
    FLAG = "flag"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where one value comes from.

    Attributes:
        source: What set it.
        name: Path of the file, name of the variable, or the flag as it is written; "" for a default.
        line: Line in the file, from 1; 0: unknown or no file.
    """

    source: Source = Source.DEFAULT
    name: str = ""
    line: int = 0

    def __str__(self) -> str:
        """Where a person has to look, such as `set in /etc/edgeclient/edgeclient.toml:12`."""
        match self.source:
            case Source.DEFAULT:
                return "default"
            case Source.FILE:
                return f"set in {self.name}:{self.line}" if self.line else f"set in {self.name}"
            case _:
                return f"set by {self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """A value together with its origin."""

    value: Any
    origin: Origin
