"""`extra_json`: provider parameters without a field of their own, of which the operator allows some."""

from collections.abc import Iterator
from difflib import get_close_matches

from edgeclient.stages.validate.findings import shown
from edgeclient.stages.validate.json_text import NotAnObjectError, bounded_object

_TYPED = {
    "model": "model",
    "messages": "messages",
    "temperature": "temperature",
    "top_p": "top_p",
    "max_tokens": "max_tokens",
    "max_completion_tokens": "max_tokens",
    "stop": "stop",
    "seed": "seed",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "tools": "tools",
    "tool_choice": "tool_choice",
    "parallel_tool_calls": "parallel_tool_calls",
    "response_format": "response_format",
    "enable_thinking": "thinking",
    "reasoning_effort": "thinking",
    "thinking_budget": "thinking_budget_tokens",
}
_TRANSPORT = ("stream", "stream_options")
_MOST_KEY = 64  # a longer key is nobody's typing error, and comparing it is slow


def extra_problems(value: str, allowed: tuple[str, ...]) -> Iterator[str]:
    """What is wrong with the text, key by key.

    Args:
        value: The text, already known not to be too long.
        allowed: Keys that the operator allows. A key that has a field is refused even if it is among them.
    """
    try:
        extra = bounded_object(value)
    except NotAnObjectError as error:
        yield str(error)
        return
    for key in extra:
        if key in _TYPED:
            yield f"key {shown(key)} is not for extra_json; use the field {_TYPED[key]}"
        elif key in _TRANSPORT:
            yield f"key {shown(key)} is decided by the node; leave it out"
        elif key not in allowed:
            yield f"key {shown(key)} is not allowed at this node; {_instead(key, allowed)}"


def _instead(key: str, allowed: tuple[str, ...]) -> str:
    if not allowed:
        return "no key is"
    nearest = get_close_matches(key[:_MOST_KEY], allowed, n=1)
    return f"the nearest allowed one is {nearest[0]!r}" if nearest else f"allowed are {', '.join(allowed)}"
