"""Why a call needs another way. On its own, so that the configuration can name the causes without loading the rest."""

from enum import Enum


class Cause(Enum):
    """A cause, as the operator writes it."""

    THROTTLED = "throttled"
    """Every target of the model asks for less, or its line at this node is full."""
    UNAVAILABLE = "unavailable"
    """It fails, or cannot be reached."""
    TIMEOUT = "timeout"
    """It gave no answer in time."""
    BLOCKED = "blocked"
    """It refuses this node's key, its account, or the model."""
