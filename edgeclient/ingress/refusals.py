"""What a target refuses this node, as NodeStatus tells it: a key, an account in arrears, a model."""

from edgeclient.core.events import Event
from edgeclient.core.route_events import TargetSetAside, TargetTakenBack


class Refusals:
    """What targets refuse this node until a person acts: remembered as the route tells it."""

    def __init__(self) -> None:
        self._problems: dict[tuple[str, str], str] = {}

    def of(self, target: str) -> str:
        """What one refuses; "": nothing."""
        return next((problem for (name, _), problem in self._problems.items() if name == target), "")

    def set_aside(self, event: Event) -> None:
        """Take the fact that a target was set aside."""
        if isinstance(event, TargetSetAside):
            self._problems[event.target, event.model] = event.problem

    def taken_back(self, event: Event) -> None:
        """Take the fact that it is asked as before."""
        if isinstance(event, TargetTakenBack):
            self._problems.pop((event.target, event.model), None)
