"""`edgeclient models`: what a node can be asked with."""

import asyncio
from collections.abc import Sequence

import click

from edgeclient.cli.connection import Connection, connection_options
from edgeclient.cli.exit_codes import exit_code_help
from edgeclient.cli.output import message_json, write_json
from edgeclient.cli.report import failures_told
from edgeclient.cli.text_table import table
from edgeclient.v1 import node_pb2

_EXAMPLES = """\b
Examples:
  edgeclient models
  edgeclient models --json | jq -r '.[].id'
"""
_TIMEOUT_S = 10.0
_HEADER = ("MODEL", "DEFAULT", "THINKING", "TOOLS", "JSON", "MEDIA", "CONTEXT", "ALIASES")


def models_table(models: Sequence[node_pb2.Model]) -> str:
    """The models as aligned columns; a dash stands for no and for unknown."""
    return table([_HEADER, *map(_row, models)])


def _row(model: node_pb2.Model) -> tuple[str, ...]:
    media = [node_pb2.Modality.Name(kind).removeprefix("MODALITY_").lower() for kind in model.input_modalities]
    return (
        model.id,
        _mark(is_so=model.is_default),
        _mark(is_so=model.supports_thinking),
        _mark(is_so=model.supports_tools),
        _mark(is_so=model.supports_json),
        ",".join(media) or "-",
        f"{model.context_window_tokens:,}" if model.context_window_tokens else "-",
        ",".join(model.aliases) or "-",
    )


def _mark(*, is_so: bool) -> str:
    return "yes" if is_so else "-"


async def _models(connection: Connection) -> list[node_pb2.Model]:
    async with connection.client() as node:
        return await node.models(timeout_s=connection.timeout_s or _TIMEOUT_S)


@click.command("models", epilog=f"{_EXAMPLES}\n{exit_code_help()}")
@connection_options
@click.option("--json", "as_json", is_flag=True, help="A JSON list.")
def models(*, connection: Connection, as_json: bool) -> None:
    """List the models of a node."""
    with failures_told(address=connection.address):
        found = asyncio.run(_models(connection))
    if as_json:
        write_json([message_json(model) for model in found], indent=2)
    else:
        click.echo(models_table(found))
