"""What the model may call: the declarations and the choice among them.

A tool named `search` is refused by Qwen, which has one of its own. The choice has to name a declared function; calls
in older messages need not, because a long conversation may outlive a tool.
"""

from collections.abc import Sequence
from itertools import islice

from edgeclient.stages.validate.findings import Findings, shown
from edgeclient.stages.validate.rules import MOST_TOOLS, Rules
from edgeclient.v1 import chat_pb2

_RESERVED = "search"


def check_tools(tools: Sequence[chat_pb2.Tool], rules: Rules, found: Findings) -> None:
    """Look at the declarations."""
    first: dict[str, int] = {}
    for index, tool in enumerate(islice(tools, MOST_TOOLS)):
        if tool.WhichOneof("kind") is None:
            found.add(f"tools[{index}]", "is empty; set function")
            continue
        path = f"tools[{index}].function."
        present = found.look(tool.function, rules.function, path)
        name = present.get("name", "")
        if not name:
            found.add(f"{path}name", rules.function["name"]("") or "is empty")
        elif name == _RESERVED:
            found.add(f"{path}name", "'search' is reserved by the provider; choose another name, such as search_parts")
        elif first.setdefault(name, index) != index:
            found.add(f"{path}name", f"{shown(name)} is the name of tools[{first[name]}] too; each name stands once")


def check_tool_choice(request: chat_pb2.ChatRequest, rules: Rules, found: Findings) -> None:
    """Look at the choice: what is to be called has to be there."""
    present = found.look(request.tool_choice, rules.tool_choice, "tool_choice.")
    if present.get("mode") == chat_pb2.TOOL_MODE_REQUIRED and not request.tools:
        found.add("tool_choice.mode", "TOOL_MODE_REQUIRED needs a tool; declare one in tools")
    name = present.get("function")
    if name and all(tool.function.name != name for tool in islice(request.tools, MOST_TOOLS)):
        found.add("tool_choice.function", f"{shown(name)} is not among tools; declare it there or name one that is")
