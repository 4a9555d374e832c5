"""What an operator has prepared: answers and templates, in one immutable book."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from edgeclient.policy.pinned import PinnedAnswers
from edgeclient.policy.template import Template


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """See the module; an empty one stands for no file."""

    pinned: PinnedAnswers = field(default_factory=PinnedAnswers)
    templates: Mapping[str, Template] = field(default_factory=dict)
