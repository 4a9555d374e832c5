"""The settings of the choice among targets; the targets themselves are rows."""

from dataclasses import dataclass

from edgeclient.config.setting import Section, setting
from edgeclient.policy.route_cause import Cause

_CAUSES = tuple(cause.value for cause in Cause)


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteConfig(Section):
    """Where an attempt goes, and where the next one goes if it fails."""

    fallback_models: dict[str, str] = setting(
        {},
        "Model that may answer for another one, model = stand-in, which may have one in turn; for live calls only."
        " The answer names the model that gave it.",
    )
    fall_back_on: list[str] = setting(
        ["throttled", "unavailable", "blocked"],
        f"What another model is asked for, once no target serves the one that was: {', '.join(_CAUSES)}.",
    )
    after_timeout: str = setting(
        "move",
        "A live call that got no answer in time is sent elsewhere (move; it may be billed twice) or ends (stop)."
        " One with an idempotency_key, or a stored job, always ends.",
        choices=("move", "stop"),
    )

    def conflicts(self) -> list[str]:
        """The causes are known, and the stand-ins come to an end."""
        problems = [
            f"fall_back_on: {cause!r} is none of {', '.join(_CAUSES)}"
            for cause in self.fall_back_on
            if cause not in _CAUSES
        ]
        for model in self.fallback_models:
            seen, name = [model], self.fallback_models[model]
            while name not in seen and name in self.fallback_models:
                seen.append(name)
                name = self.fallback_models[name]
            if name == model:
                problems.append(f"fallback_models.{model}: stands in for itself in the end; break the circle")
        return problems
