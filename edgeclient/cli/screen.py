"""An answer on the terminal while it comes.

The answer and the calls that it asks for go to stdout; reasoning, remarks and the line of facts go to stderr, so a pipe
holds only what the model said.
"""

import sys
from dataclasses import dataclass

import click

from edgeclient.cli.output import printable
from edgeclient.v1 import chat_pb2


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How long an answer took.

    Attributes:
        total_s: From the call to the end.
        first_token_s: From the call to the first piece of text; None without stream.
    """

    total_s: float
    first_token_s: float | None = None


class Screen:
    """Writes one answer; texts of one kind follow each other without a break."""

    def __init__(self, *, show_reasoning: bool) -> None:
        self._show_reasoning = show_reasoning
        self._thinking = False
        self._at_line_start = True

    def text(self, piece: str) -> None:
        """Show the next piece of the answer."""
        if not piece:
            return
        if self._thinking:
            click.echo("\n", err=True, nl=True)
            self._thinking = False
        sys.stdout.write(printable(piece, sys.stdout))
        sys.stdout.flush()
        self._at_line_start = piece.endswith("\n")

    def reasoning(self, piece: str) -> None:
        """Show the next piece of the reasoning, dimmed."""
        if piece and self._show_reasoning:
            click.secho(printable(piece, sys.stderr), err=True, nl=False, dim=True)
            self._thinking = True

    def end(self) -> None:
        """Leave the cursor at the start of a line."""
        if self._thinking:
            click.echo(err=True)
        if not self._at_line_start:
            click.echo()
        self._thinking, self._at_line_start = False, True

    def remarks(self, response: chat_pb2.ChatResponse) -> None:
        """Say what the text does not: calls that are wanted, why it ended early, where else it is."""
        for call in response.message.tool_calls:
            line = f"tool call {call.id}: {call.name}({call.arguments})"
            click.echo(printable(line, sys.stdout))
        if response.job_id:
            click.echo(f"The request was queued as job {response.job_id}; the answer comes later.", err=True)
        remark = _END_REMARKS.get(response.finish_reason)
        if remark:
            click.echo(f"({remark})", err=True)

    def facts(self, response: chat_pb2.ChatResponse, timing: Timing) -> None:
        """The line of facts."""
        click.secho(facts_line(response, timing), err=True, dim=True)


_END_REMARKS: dict[int, str] = {
    chat_pb2.FINISH_REASON_LENGTH: "the answer was cut off: --max-tokens or the context of the model is used up",
    chat_pb2.FINISH_REASON_CONTENT_FILTER: "the provider cut the answer off for its content",
}
_SOURCES: dict[int, str] = {
    chat_pb2.RESPONSE_SOURCE_CACHE: "cached",
    chat_pb2.RESPONSE_SOURCE_STALE_CACHE: "cached, outdated",
    chat_pb2.RESPONSE_SOURCE_REPLAY: "replayed",
    chat_pb2.RESPONSE_SOURCE_COALESCED: "shared",
    chat_pb2.RESPONSE_SOURCE_PINNED: "pinned",
}


def facts_line(response: chat_pb2.ChatResponse, timing: Timing) -> str:
    """Who answered, how fast, for how much; what is not known is left out."""
    facts = [response.model]
    if response.target:
        facts.append(f"by {response.target}")
    if response.source in _SOURCES:
        facts.append(_SOURCES[response.source])
    if response.HasField("usage"):
        facts += _usage_facts(response.usage)
    if timing.first_token_s is not None:
        facts.append(f"first token {timing.first_token_s:.2f} s")
    facts.append(f"total {timing.total_s:.2f} s")
    if response.attempt_count > 1:
        facts.append(f"{response.attempt_count} attempts")
    facts.append(f"request {response.id}")
    return "[" + ", ".join(fact for fact in facts if fact) + "]"


def _usage_facts(usage: chat_pb2.Usage) -> list[str]:
    tokens = f"{usage.prompt_tokens} + {usage.completion_tokens} tokens"
    if usage.reasoning_tokens:
        tokens += f" ({usage.reasoning_tokens} reasoning)"
    if not usage.currency_code:
        return [tokens]
    cost = f"{usage.cost_nanos / 1e9:.6f}".rstrip("0").rstrip(".")
    return [tokens, f"{usage.currency_code} {cost}"]
