"""The scenes of the demo: what a device does, as its programmer would write it."""

import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import click
from google.protobuf.json_format import MessageToJson

from edgeclient.client import EdgeClient, EdgeError
from edgeclient.simulator import Simulator
from edgeclient.v1 import chat_pb2

_WIDTH = 240
_FINISH = "FINISH_REASON_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What a scene plays with.

    Attributes:
        node: The device's connection to the daemon.
        cloud: The simulated cloud, whose ledger tells what went over the wire; None: the real one was asked.
    """

    node: EdgeClient
    cloud: Simulator | None

    def wire(self, *, most: int = 1) -> None:
        """Show the last upstream requests."""
        if self.cloud is None:
            return
        entries = [entry for entry in self.cloud.ledger.entries if entry.body][-most:]
        for entry in entries:
            click.secho(
                f"   wire   {entry.protocol} connection {entry.connection} stream {entry.stream_id}:"
                f" {entry.method} {entry.path} -> {entry.status}, billed {entry.prompt_tokens_billed} +"
                f" {entry.tokens_billed} tokens",
                fg="cyan",
            )
            body = json.dumps(json.loads(entry.body or "null"), ensure_ascii=False)
            click.secho(f"          {_short(body)}", fg="cyan", dim=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One of the things that are shown."""

    title: str
    play: Callable[[Stage], Awaitable[None]]

    @property
    def about(self) -> str:
        """What to look at."""
        return (self.play.__doc__ or "").strip()


def _short(text: str) -> str:
    return text if len(text) <= _WIDTH else f"{text[:_WIDTH]}... ({len(text)} characters)"


def _asks(request: chat_pb2.ChatRequest) -> None:
    text = MessageToJson(request, preserving_proto_field_name=True, indent=None, ensure_ascii=False)
    click.echo(f"   device {_short(text)}")


def _facts(response: chat_pb2.ChatResponse, took_s: float, first_s: float | None = None) -> None:
    usage = response.usage
    parts = [
        f"{took_s * 1000:.0f} ms",
        *([f"first piece after {first_s * 1000:.0f} ms"] if first_s is not None else []),
        f"{usage.prompt_tokens} + {usage.completion_tokens} tokens",
        chat_pb2.FinishReason.Name(response.finish_reason).removeprefix(_FINISH).lower(),
        f"{response.model} at {response.target}",
    ]
    click.secho(f"   facts  {', '.join(parts)}", dim=True)


async def _ask(stage: Stage, request: chat_pb2.ChatRequest) -> chat_pb2.ChatResponse:
    _asks(request)
    begun = time.monotonic()
    response = await stage.node.chat(request)
    took_s = time.monotonic() - begun
    stage.wire()
    for call in response.message.tool_calls:
        click.secho(f"   answer calls {call.name}({call.arguments}), id {call.id}", fg="green")
    if response.message.content:
        click.secho(f"   answer {response.message.content}", fg="green")
    _facts(response, took_s)
    return response


async def _question(stage: Stage) -> None:
    """A device at a shop counter asks in Chinese; one request, one answer."""
    await _ask(
        stage,
        chat_pb2.ChatRequest(
            system="你是一家家电商店的客服，回答简短、礼貌。",
            prompt="你好，我上周买的空气净化器一直响，可以退货吗？",
            temperature=0.7,
            max_tokens=200,
        ),
    )


async def _long_answer(stage: Stage) -> None:
    """The answer arrives while it is generated; what was thought is left out unless it is asked for."""
    request = chat_pb2.ChatRequest(prompt="Explain in detail how a heat pump works and how to maintain it.")
    _asks(request)
    begun = time.monotonic()
    first_s = None
    pieces = 0
    last = chat_pb2.StreamChatResponse()
    whole = chat_pb2.ChatResponse()
    click.secho("   answer ", fg="green", nl=False)
    async for piece in stage.node.stream(request):
        first_s = first_s or time.monotonic() - begun
        pieces += bool(piece.content)
        whole.model, whole.target = piece.model or whole.model, piece.target or whole.target
        click.secho(piece.content.replace("\n", " "), fg="green", nl=False)
        last = piece
    click.echo(f"\n   in {pieces} pieces")
    whole.finish_reason = last.finish_reason
    whole.usage.CopyFrom(last.usage)
    stage.wire()
    _facts(whole, time.monotonic() - begun, first_s)


async def _tool_chain(stage: Stage) -> None:
    """The whole chain: question, the model asks for a reading, the device gives it, the model answers."""
    sensors = {"type": "string", "enum": ["boiler", "hall", "outdoors"]}
    parameters = {"type": "object", "properties": {"sensor": sensors}, "required": ["sensor"]}
    tool = chat_pb2.Tool(
        function=chat_pb2.FunctionTool(
            name="read_temperature",
            description="Reads a temperature sensor in degrees Celsius.",
            parameters=json.dumps(parameters),
        )
    )
    question = chat_pb2.Message(content="Is the boiler too hot? Look at its sensor.")
    first = await _ask(stage, chat_pb2.ChatRequest(messages=[question], tools=[tool]))
    results = [
        chat_pb2.Message(role=chat_pb2.ROLE_TOOL, tool_call_id=call.id, content='{"celsius": 97}')
        for call in first.message.tool_calls
    ]
    click.echo(f"   device reads the sensor {len(results)} time(s) and asks on")
    await _ask(stage, chat_pb2.ChatRequest(messages=[question, first.message, *results], tools=[tool]))


async def _batch(stage: Stage) -> None:
    """Twelve prompts in one call; each answer comes as soon as it is ready, all on the same connection."""
    requests = [chat_pb2.ChatRequest(prompt=f"Give machine {number} a short name.") for number in range(1, 13)]
    defaults = chat_pb2.ChatRequest(max_tokens=40, priority=chat_pb2.PRIORITY_LOW)
    begun = time.monotonic()
    order = []
    tokens = 0
    async for result in stage.node.batch(requests, defaults=defaults):
        order.append(result.index)
        tokens += result.response.usage.completion_tokens
    click.echo(f"   device sent {len(requests)} prompts, answered in the order {order}")
    stage.wire(most=2)
    click.secho(f"   facts  {(time.monotonic() - begun) * 1000:.0f} ms for all, {tokens} tokens", dim=True)


async def _wrong_request(stage: Stage) -> None:
    """All that is wrong is told at once, each with its field; nothing is sent, nothing is billed."""
    request = chat_pb2.ChatRequest(
        model="qwen-pluss", temperature=3, top_p=1.5, messages=[chat_pb2.Message(role=chat_pb2.ROLE_TOOL, content="97")]
    )
    _asks(request)
    try:
        await stage.node.chat(request)
    except EdgeError as error:
        click.secho(f"   refused {error.code.name} {error.reason}: {error.message}", fg="yellow")
        for violation in error.violations:
            click.secho(f"          {violation.field}: {violation.description}", fg="yellow")
    else:
        raise click.ClickException("the wrong request was not refused")


SCENES = (
    Scene(title="A customer's question", play=_question),
    Scene(title="A long answer, streamed", play=_long_answer),
    Scene(title="A chain of function calls", play=_tool_chain),
    Scene(title="A batch of prompts", play=_batch),
    Scene(title="A wrong request and its refusal", play=_wrong_request),
)
