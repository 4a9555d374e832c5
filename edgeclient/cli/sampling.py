"""The options that shape an answer; `chat` and `batch` share them."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from edgeclient.cli.prompt import well_formed
from edgeclient.cli.tool_file import tools_of
from edgeclient.v1 import chat_pb2

_THINKING = {
    "off": chat_pb2.THINKING_MODE_OFF,
    "on": chat_pb2.THINKING_MODE_ON,
    "low": chat_pb2.THINKING_MODE_LOW,
    "medium": chat_pb2.THINKING_MODE_MEDIUM,
    "high": chat_pb2.THINKING_MODE_HIGH,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """What the user chose; None: the default of the node or the model.

    Attributes:
        model: Name or alias.
        system: Standing instructions.
        temperature: 0 is a choice.
        max_tokens: Upper limit of the answer.
        thinking: Reasoning before the answer.
        tools_file: Functions that the model may ask for.
    """

    model: str | None = None
    system: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    thinking: str | None = None
    tools_file: Path | None = None

    def request(self) -> chat_pb2.ChatRequest:
        """A request without messages that carries the choices.

        Raises:
            Failure: The file of functions is wrong.
        """
        return chat_pb2.ChatRequest(
            model=well_formed(self.model or ""),
            system=well_formed(self.system or ""),
            temperature=self.temperature,
            max_tokens=self.max_tokens or 0,
            thinking=_THINKING.get(self.thinking or "", chat_pb2.THINKING_MODE_UNSPECIFIED),
            tools=tools_of(self.tools_file) if self.tools_file else (),
        )


_OPTIONS = (
    click.option("--model", "-m", help="Model or alias; `edgeclient models` lists them. [default: the node's]"),
    click.option("--system", "-s", help="Standing instructions for the model."),
    click.option(
        "--temperature", "-t", type=click.FloatRange(0, 2, max_open=True), help="0: as exact as it can; 1.5: inventive."
    ),
    click.option("--max-tokens", type=click.IntRange(1), help="Longest answer, in tokens."),
    click.option("--thinking", type=click.Choice(list(_THINKING)), help="Reasoning before the answer; it is billed."),
    click.option(
        "--tools",
        "tools_file",
        type=click.Path(path_type=Path, dir_okay=False),
        help="JSON list of OpenAI-style functions that the model may ask for.",
    ),
)


def sampling_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options to a command, which gets them as one `sampling`."""

    @functools.wraps(command)
    def collected(**options: Any) -> Any:
        chosen = {name: options.pop(name) for name in Sampling.__slots__}
        return command(sampling=Sampling(**chosen), **options)

    for option in reversed(_OPTIONS):
        collected = option(collected)
    return collected
