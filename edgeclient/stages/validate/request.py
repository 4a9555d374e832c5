"""One request, all of it: the table first, then what its fields say together, then what the model can do.

A field that is not set is not looked at, so a plain request pays for little more than its own fields. Fields that this
version of the contract does not know are ignored, as protobuf asks: a newer device may speak to an older node.
"""

from collections.abc import Mapping
from typing import Any

from edgeclient.core.models import ModelSpec
from edgeclient.stages.validate.extra import extra_problems
from edgeclient.stages.validate.findings import Findings
from edgeclient.stages.validate.messages import check_messages
from edgeclient.stages.validate.model_rules import check_model
from edgeclient.stages.validate.promises import check_promises
from edgeclient.stages.validate.rules import MOST_STOP, Rules
from edgeclient.stages.validate.tools import check_tool_choice, check_tools
from edgeclient.v1 import chat_pb2


def violations(request: chat_pb2.ChatRequest, model: ModelSpec | None, rules: Rules) -> Findings:
    """What is wrong with a request.

    Args:
        request: The request.
        model: The model that is asked; None if the name is not known, then its abilities are not checked.
        rules: The table.
    """
    found = Findings()
    present = found.look(request, rules.request, "")
    if "messages" in present:
        check_messages(present["messages"], prompt="prompt" in present, rules=rules, model=model, found=found)
    elif "prompt" not in present:
        found.add("messages", "is empty and so is prompt; set at least one of them")
    if "stop" in present:
        _check_stop(request, found)
    if "tools" in present:
        check_tools(request.tools, rules, found)
    if "tool_choice" in present:
        check_tool_choice(request, rules, found)
    if "response_format" in present:
        _check_response_format(request, rules, found)
    if "extra_json" in present and rules.request["extra_json"](request.extra_json) is None:
        for problem in extra_problems(request.extra_json, rules.extra_keys):
            found.add("extra_json", problem)
    _check_restart(present, found)
    check_promises(present, found, durable=rules.durable)
    if model is not None:
        check_model(request, present, model, found)
    return found


def template_violations(request: chat_pb2.ChatRequest, rules: Rules) -> Findings:
    """What is wrong with the names of a template and of its variables, before either is looked for."""
    found = Findings()
    found.look(request, rules.template, "")
    return found


def _check_restart(present: Mapping[str, Any], found: Findings) -> None:
    if "restart_stream" in present and "idempotency_key" in present:
        found.add("restart_stream", "may be billed twice, which an idempotency_key forbids; set one of the two")


def _check_stop(request: chat_pb2.ChatRequest, found: Findings) -> None:
    for index, each in enumerate(request.stop[:MOST_STOP]):
        if not each:
            found.add(f"stop[{index}]", "is empty; leave it out")


def _check_response_format(request: chat_pb2.ChatRequest, rules: Rules, found: Findings) -> None:
    present = found.look(request.response_format, rules.response_format, "response_format.")
    kind = present.get("type", chat_pb2.RESPONSE_FORMAT_TYPE_UNSPECIFIED)
    is_schema = kind == chat_pb2.RESPONSE_FORMAT_TYPE_JSON_SCHEMA
    if is_schema and "json_schema" not in present:
        found.add("response_format.json_schema", "is empty; RESPONSE_FORMAT_TYPE_JSON_SCHEMA needs the schema as text")
    if "json_schema" in present and not is_schema:
        found.add(
            "response_format.json_schema",
            "goes with RESPONSE_FORMAT_TYPE_JSON_SCHEMA only; set that type or leave the schema out",
        )
    if kind == chat_pb2.RESPONSE_FORMAT_TYPE_JSON_OBJECT and not _says_json(request):
        found.add(
            "response_format.type",
            'RESPONSE_FORMAT_TYPE_JSON_OBJECT needs the word "JSON" in the conversation; say in a message what JSON'
            " is wanted",
        )


def _says_json(request: chat_pb2.ChatRequest) -> bool:
    if "json" in request.prompt.lower() or "json" in request.system.lower():
        return True
    return any(
        "json" in message.content.lower() or any("json" in part.text.lower() for part in message.parts)
        for message in request.messages
    )
