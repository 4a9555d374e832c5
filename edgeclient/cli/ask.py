"""Asks a node once and shows the answer; one-shot calls and conversations both go through here."""

import time
from contextlib import aclosing
from dataclasses import dataclass

from edgeclient.cli.output import message_json, write_json
from edgeclient.cli.screen import Screen, Timing
from edgeclient.client import Assembly, EdgeClient
from edgeclient.v1 import chat_pb2

_TIMEOUT_S = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Presentation:
    """How an answer is shown.

    Attributes:
        stream: While it comes, not when it is complete.
        as_json: As one JSON object on stdout.
        show_reasoning: With what the model thought.
        quiet: Without the line of facts.
        timeout_s: When to give up; None: after five minutes, which reasoning models need at times.
    """

    stream: bool = True
    as_json: bool = False
    show_reasoning: bool = False
    quiet: bool = False
    timeout_s: float | None = None


async def ask(node: EdgeClient, request: chat_pb2.ChatRequest, how: Presentation) -> chat_pb2.ChatResponse:
    """The answer, after it was shown.

    Raises:
        EdgeError: There is none, or only the part that was shown.
    """
    screen = Screen(show_reasoning=how.show_reasoning)
    timeout_s = how.timeout_s or _TIMEOUT_S
    started = time.monotonic()
    if how.stream and not how.as_json:
        response, first_token_s = await _streamed(node, request, screen, timeout_s=timeout_s)
    else:
        response, first_token_s = await node.chat(request, timeout_s=timeout_s), None
        if not how.as_json:
            screen.reasoning(response.message.reasoning_content)
            screen.text(response.message.content)
            screen.end()
    timing = Timing(total_s=time.monotonic() - started, first_token_s=first_token_s)
    if how.as_json:
        write_json(message_json(response))
        return response
    screen.remarks(response)
    if not how.quiet:
        screen.facts(response, timing)
    return response


async def _streamed(
    node: EdgeClient, request: chat_pb2.ChatRequest, screen: Screen, *, timeout_s: float
) -> tuple[chat_pb2.ChatResponse, float | None]:
    assembly = Assembly()
    started = time.monotonic()
    first_token_s: float | None = None
    try:
        async with aclosing(node.stream(request, timeout_s=timeout_s)) as pieces:
            async for piece in pieces:
                if first_token_s is None and (piece.content or piece.reasoning_content):
                    first_token_s = time.monotonic() - started
                assembly.add(piece)
                screen.reasoning(piece.reasoning_content)
                screen.text(piece.content)
    finally:
        screen.end()
    return assembly.response(), first_token_s
