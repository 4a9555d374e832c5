"""The stage: a request that passes can be asked as it stands.

It names the model (`Call.model`), and refuses what is wrong before anything is sent. A model that nobody knows is an
error of its own, unless the request is wrong in other ways too: then it stands among them, so that the caller learns
everything at once. What the operator does not let a caller have is refused as well: a model that is not open to it. A
priority above its own is only taken down to that.

A request that names a template is written out first, and what it stands for is looked at; what is wrong with the
template's own part is told as the template's.
"""

import re
from collections.abc import Callable
from dataclasses import replace

from edgeclient.config.schema import ChatConfig
from edgeclient.core.call import Call, Handler, Reply
from edgeclient.core.callers import Callers
from edgeclient.core.errors import Rejected, Violation
from edgeclient.core.models import Catalogue, ModelSpec, UnknownModelError
from edgeclient.policy.template import Expanded
from edgeclient.stages.validate.findings import MOST_LISTED, Findings, choice_of, shown
from edgeclient.stages.validate.request import template_violations, violations
from edgeclient.stages.validate.rules import MOST_MODEL_NAME, rules
from edgeclient.v1 import chat_pb2, error_pb2

_MESSAGE = re.compile(r"messages\[(\d+)\]")

Expand = Callable[[chat_pb2.ChatRequest], Expanded]
"""Writes out a request that names a template, or raises `Rejected`."""


class Validate:
    """Refuses requests that are wrong, with all that is wrong.

    Args:
        catalogue: The models of this node.
        config: What callers may ask.
        callers: What each caller may do; None: everything.
        durable: The node has a durable queue.
        cached: The node has a cache.
        expand: Writes out templates; None: there are none.
    """

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        config: ChatConfig,
        callers: Callers | None = None,
        durable: bool = False,
        cached: bool = False,
        expand: Expand | None = None,
    ) -> None:
        self._cached = cached
        self._expand = expand
        self._catalogue = catalogue
        self._callers = callers or Callers()
        self._durable = durable
        self.apply(config)

    def apply(self, config: ChatConfig) -> None:
        """From now on callers may ask this."""
        self._rules = rules(config, durable=self._durable)

    async def __call__(self, call: Call, forward: Handler) -> Reply:
        """Name the model and pass the call on.

        Raises:
            Rejected: The request is wrong, the model is not known, or only a cached answer would do.
        """
        self.admit(call)
        return await forward(call)

    def admit(self, call: Call) -> None:
        """Decide about a request, also one that is stored, or is going to be.

        Raises:
            Rejected: As a call of it.
        """
        if not call.request.template and not call.request.variables:
            self._check(call)
            return
        asked = call.request
        found = template_violations(asked, self._rules)
        if found.count:
            raise _invalid(found.listed, found.count)
        if self._expand is None:
            unknown = Violation(field="template", description="this node has no templates; leave it out")
            raise _invalid([unknown], 1)
        expanded = self._expand(asked)
        call.asked, call.request = asked, expanded.request
        try:
            self._check(call)
        except Rejected as error:
            raise _in_terms_of(error, asked.template, expanded.ahead_count) from None

    def permits(self, call: Call, model: ModelSpec) -> bool:
        """Whether a call that has passed may be answered by this model: it is open to the caller, and can do it."""
        is_open = self._callers.rules(call.caller).may_ask(model.id)
        return is_open and not violations(call.request, model, self._rules).count

    def _check(self, call: Call) -> None:
        request = call.request
        if len(request.model) > MOST_MODEL_NAME:  # looking for names like it would take long
            found = violations(request, None, self._rules)
            raise _invalid(found.listed, found.count)
        try:
            model = self._catalogue.resolve(request.model)
        except UnknownModelError as error:
            raise _unknown_model(error, violations(request, None, self._rules)) from None
        found = violations(request, model, self._rules)
        if found.count:
            raise _invalid(found.listed, found.count)
        if request.cache_policy == chat_pb2.CACHE_POLICY_ONLY and not self._cached:
            raise Rejected(
                error_pb2.ERROR_REASON_CACHE_MISS,
                "cache_policy: this node has no cache, so CACHE_POLICY_ONLY finds nothing; choose another policy",
            )
        caller = self._callers.rules(call.caller)
        if not caller.may_ask(model.id):
            sentence = f"model: {shown(model.id)} is not open to this caller; ListModels tells which are"
            raise Rejected(error_pb2.ERROR_REASON_MODEL_NOT_FOUND, sentence)
        if request.priority > caller.max_priority:
            call.request = _with_priority(request, caller.max_priority)
        call.model = model


def _with_priority(request: chat_pb2.ChatRequest, priority: chat_pb2.Priority.ValueType) -> chat_pb2.ChatRequest:
    lowered = chat_pb2.ChatRequest()
    lowered.CopyFrom(request)
    lowered.priority = priority
    return lowered


def _invalid(listed: list[Violation], count: int) -> Rejected:
    first = listed[0]
    sentence = f"{first.field}: {first.description}"
    if count > len(listed):
        sentence += f" (the first of {count} problems, of which {len(listed)} are listed)"
    elif count > 1:
        sentence += f" (the first of {count} problems)"
    return Rejected(error_pb2.ERROR_REASON_INVALID_REQUEST, sentence, violations=listed)


def _unknown_model(error: UnknownModelError, found: Findings) -> Rejected:
    cure = f"the nearest is {choice_of(list(error.nearest))}" if error.nearest else "ListModels tells what there is"
    unknown = Violation(field="model", description=f"{shown(str(error))} is not known to this node; {cure}")
    if found.count:
        return _invalid([unknown, *found.listed][:MOST_LISTED], found.count + 1)
    return Rejected(error_pb2.ERROR_REASON_MODEL_NOT_FOUND, f"{unknown.field}: {unknown.description}")


def _in_terms_of(error: Rejected, template: str, ahead_count: int) -> Rejected:
    """The same problems with the paths of the request as the caller wrote it."""
    if not error.violations:
        return error
    problems = [_own(problem, template, ahead_count) for problem in error.violations]
    first, before = problems[0], error.violations[0]
    sentence = error.summary.replace(f"{before.field}: {before.description}", f"{first.field}: {first.description}", 1)
    return Rejected(error.reason, sentence, violations=problems)


def _own(problem: Violation, template: str, ahead_count: int) -> Violation:
    place = _MESSAGE.match(problem.field)
    if place is None:
        return problem
    index = int(place[1]) - ahead_count
    if index >= 0:
        return replace(problem, field=f"messages[{index}]{problem.field[place.end() :]}")
    return Violation(field="template", description=f"{template!r}: {problem.field} {problem.description}")
