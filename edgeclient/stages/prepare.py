"""The stage: what the operator has prepared. Answers that need no model, and requests that are written out here.

A pinned answer is given before the cache and the provider are asked, online and offline alike. It is the operator's
own word, so no cache policy of the caller concerns it.

A template is written out as the request is validated, ahead of all rules: what is checked, stored, cached and sent is
what the template meant at that moment, so a queued job means what it meant at its submission. Only an idempotency key
stands for what the caller itself has written, the name of the template and the variables: a repeat after a change of
the template is a repeat.
"""

from collections.abc import Callable
from difflib import get_close_matches

from edgeclient.core.call import Call, Handler, Reply
from edgeclient.core.errors import Reason, Rejected, Violation
from edgeclient.core.ports import Observe
from edgeclient.policy.prepared import Prepared
from edgeclient.policy.template import Expanded, expand, misuse
from edgeclient.stages.delivery import deliver, reused
from edgeclient.v1 import chat_pb2


class Prepare:
    """A stage; see the module.

    Args:
        prepared: What is prepared now.
        observe: Takes events.
    """

    def __init__(self, prepared: Callable[[], Prepared], *, observe: Observe) -> None:
        self._prepared = prepared
        self._observe = observe

    async def __call__(self, call: Call, forward: Handler) -> Reply:
        """Answer a pinned question, pass on any other."""
        if call.model is None:
            raise RuntimeError("the validation stage sets the model of every call")
        pinned = self._prepared().pinned.find(call.request, model_id=call.model.id, caller=call.caller)
        if pinned is None:
            return await forward(call)
        response = chat_pb2.ChatResponse(
            message=chat_pb2.Message(role=chat_pb2.ROLE_ASSISTANT, content=pinned.answer),
            finish_reason=chat_pb2.FINISH_REASON_STOP,
            usage=chat_pb2.Usage(),
            source=chat_pb2.RESPONSE_SOURCE_PINNED,
        )
        self._observe(reused(call, response, source="pinned"))
        return await deliver(call, response)

    def expand(self, request: chat_pb2.ChatRequest) -> Expanded:
        """Write out a request that names a template.

        Raises:
            Rejected: There is no such template, or the variables do not fit.
        """
        templates = self._prepared().templates
        if not request.template:
            raise _refused([Violation(field="variables", description="goes with a template; name one or leave it out")])
        template = templates.get(request.template)
        if template is None:
            near = get_close_matches(request.template, templates, n=1)
            cure = f"the nearest is {near[0]!r}" if near else "its operator names them in the file of prepare.file"
            raise _refused(
                [Violation(field="template", description=f"{request.template!r} is not known to this node; {cure}")]
            )
        problems = misuse(template, request)
        if problems:
            raise _refused(problems)
        return expand(template, request)


def _refused(problems: list[Violation]) -> Rejected:
    first = problems[0]
    sentence = f"{first.field}: {first.description}"
    if len(problems) > 1:
        sentence += f" (the first of {len(problems)} problems)"
    return Rejected(Reason.ERROR_REASON_INVALID_REQUEST, sentence, violations=problems)
