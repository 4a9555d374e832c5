"""What the chosen model cannot do.

Refused here, because the provider would refuse it after a round trip and in words that hide the cure. The facts are the
catalogue's; what it does not know (a limit of 0) is not checked. That a model answers or thinks in a stream only is no
matter of the caller: the node asks such a model for a stream and puts the pieces together.
"""

from collections.abc import Callable, Mapping

from edgeclient.core.models import ModelSpec, Thinking
from edgeclient.core.thinking import thinks
from edgeclient.stages.validate.findings import Findings
from edgeclient.v1 import chat_pb2

_EFFORTS = (chat_pb2.THINKING_MODE_LOW, chat_pb2.THINKING_MODE_MEDIUM, chat_pb2.THINKING_MODE_HIGH)
_ON = (chat_pb2.THINKING_MODE_ON, *_EFFORTS)


def check_model(
    request: chat_pb2.ChatRequest, present: Mapping[str, object], model: ModelSpec, found: Findings
) -> None:
    """Look at the fields that are set and that not every model takes."""
    for name in present:
        rule = _RULES.get(name)
        if rule is not None:
            rule(request, model, found)


def _max_tokens(request: chat_pb2.ChatRequest, model: ModelSpec, found: Findings) -> None:
    most, what = model.max_output_tokens, "tokens"
    if model.limits_reasoning and thinks(request.thinking, model):  # then the limit bounds reasoning and answer
        most = most + model.max_reasoning_tokens if most and model.max_reasoning_tokens else 0
        what = "tokens, reasoning included"
    if most and request.max_tokens > most:
        found.add("max_tokens", f"{request.max_tokens} is too many; {model.id} generates at most {most} {what}")


def _thinking(request: chat_pb2.ChatRequest, model: ModelSpec, found: Findings) -> None:
    mode = request.thinking
    if mode in _ON and model.thinking is Thinking.NEVER:
        found.add("thinking", f"{model.id} cannot think; set thinking to THINKING_MODE_OFF or choose another model")
    elif mode == chat_pb2.THINKING_MODE_OFF and model.thinking is Thinking.ALWAYS:
        found.add("thinking", f"{model.id} always thinks; leave thinking unset or choose another model")
    elif mode in _EFFORTS and model.takes_effort and request.thinking_budget_tokens:
        found.add(
            "thinking",
            f"{model.id} takes either an effort or thinking_budget_tokens; set thinking to THINKING_MODE_ON"
            " or leave the budget unset",
        )


def _budget(request: chat_pb2.ChatRequest, model: ModelSpec, found: Findings) -> None:
    budget, most = request.thinking_budget_tokens, model.max_reasoning_tokens
    if model.thinking is Thinking.NEVER:
        found.add("thinking_budget_tokens", f"{model.id} cannot think; leave it unset")
    elif not thinks(request.thinking, model):
        cure = "set thinking to THINKING_MODE_ON or leave the budget unset"
        found.add("thinking_budget_tokens", f"{model.id} will not think for this request; {cure}")
    elif most and budget > most:
        found.add("thinking_budget_tokens", f"{budget} is too many; {model.id} thinks for at most {most} tokens")


def _tools(_: chat_pb2.ChatRequest, model: ModelSpec, found: Findings) -> None:
    if not model.tools:
        found.add("tools", f"{model.id} cannot call tools; leave them out or choose another model")


def _tool_choice(request: chat_pb2.ChatRequest, model: ModelSpec, found: Findings) -> None:
    kind = request.tool_choice.WhichOneof("choice")
    forced = kind == "function" or request.tool_choice.mode == chat_pb2.TOOL_MODE_REQUIRED
    if forced and thinks(request.thinking, model):
        found.add(f"tool_choice.{kind}", f"a call cannot be forced while {_why_not(request, model)}")


def _response_format(request: chat_pb2.ChatRequest, model: ModelSpec, found: Findings) -> None:
    kind = request.response_format.type
    if kind not in (chat_pb2.RESPONSE_FORMAT_TYPE_JSON_OBJECT, chat_pb2.RESPONSE_FORMAT_TYPE_JSON_SCHEMA):
        return
    path = "response_format.type"
    if not model.json_mode:
        found.add(path, f"{model.id} cannot be held to JSON; set RESPONSE_FORMAT_TYPE_TEXT or choose another model")
    elif kind == chat_pb2.RESPONSE_FORMAT_TYPE_JSON_OBJECT and thinks(request.thinking, model):
        found.add(path, f"RESPONSE_FORMAT_TYPE_JSON_OBJECT is not possible while {_why_not(request, model)}")


def _why_not(request: chat_pb2.ChatRequest, model: ModelSpec) -> str:
    """Who decided that the model thinks, and what would change it."""
    if model.thinking is Thinking.ALWAYS:
        return f"thinking, and {model.id} always thinks; choose another model"
    if request.thinking in _ON:
        return f"{model.id} thinks; set thinking to THINKING_MODE_OFF"
    return f"thinking, and {model.id} thinks unless told otherwise; set thinking to THINKING_MODE_OFF"


_RULES: Mapping[str, Callable[[chat_pb2.ChatRequest, ModelSpec, Findings], None]] = {
    "max_tokens": _max_tokens,
    "thinking": _thinking,
    "thinking_budget_tokens": _budget,
    "tools": _tools,
    "tool_choice": _tool_choice,
    "response_format": _response_format,
}
