"""The command `edgeclient`: finds the module of a command by name and turns every end into an exit code.

A command's module is imported when the command is used, never before: `edgeclient version` pays neither for gRPC nor
for the daemon, and a defect in one command leaves the others alone. So the one-line helps stand here, in one table.
"""

import importlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TextIO

import click

from edgeclient import __version__
from edgeclient.cli.exit_codes import ExitCode, exit_code_help

_EXAMPLES = """\b
Examples:
  edgeclient demo                                 see it work, without a key
  edgeclient serve --config edgeclient.toml       run the daemon
  edgeclient chat "Is 97 degrees hot for a boiler?"
  journalctl -n 200 | edgeclient chat "What is broken?"
  edgeclient batch questions.txt -o answers.jsonl
  edgeclient models --address node7:50051 --ca-file ca.pem

\b
Each command explains itself: edgeclient chat --help
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandPlace:
    """Where a command is, and what it is for.

    Attributes:
        module: Module that holds the command under the command's own name, with _ for -.
        summary: One line for the list of commands.
    """

    module: str
    summary: str


COMMANDS: dict[str, CommandPlace] = {
    "serve": CommandPlace(module="edgeclient.cli.serve", summary="Run the daemon."),
    "chat": CommandPlace(module="edgeclient.cli.chat", summary="Ask a node, once or in a conversation."),
    "batch": CommandPlace(module="edgeclient.cli.batch", summary="Ask a node for every line of a file."),
    "jobs": CommandPlace(module="edgeclient.cli.jobs", summary="See and mend the durable queue."),
    "usage": CommandPlace(module="edgeclient.cli.usage", summary="Show who used how much of what, and its cost."),
    "models": CommandPlace(module="edgeclient.cli.models", summary="List the models of a node."),
    "doctor": CommandPlace(module="edgeclient.cli.doctor", summary="Find out what is wrong with this node."),
    "health": CommandPlace(module="edgeclient.cli.health", summary="Tell whether the daemon here serves."),
    "support-bundle": CommandPlace(
        module="edgeclient.cli.support_bundle", summary="Collect what support needs, without secrets."
    ),
    "sim": CommandPlace(module="edgeclient.cli.sim", summary="Run a simulated cloud, with faults on order."),
    "demo": CommandPlace(module="edgeclient.cli.demo", summary="See everything work together, without a key."),
    "config": CommandPlace(module="edgeclient.cli.config", summary="Check and show the daemon's configuration."),
    "version": CommandPlace(module="edgeclient.cli.version", summary="Tell versions, for a bug report."),
}


class ReaderLeftError(Exception):
    """Nobody reads our output any more, as after `| head`; click would make an exit code 1 of a BrokenPipeError."""


class LazyGroup(click.Group):
    """A group that knows its commands by name only."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the table: what runs first comes first."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command."""
        del ctx
        place = COMMANDS.get(cmd_name)
        if place is None:
            return None
        command = getattr(importlib.import_module(place.module), cmd_name.replace("-", "_"))
        if not isinstance(command, click.Command):
            raise TypeError(f"{place.module}:{cmd_name} is no command")
        return command

    def invoke(self, ctx: click.Context) -> object:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise ReaderLeftError from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, place.summary) for name, place in COMMANDS.items()])


@click.command(
    "edgeclient",
    cls=LazyGroup,
    epilog=f"{_EXAMPLES}\n{exit_code_help()}",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, message="%(prog)s %(version)s")
def edgeclient() -> None:
    """Chat with Qwen models through an edge node: the daemon, its clients and what helps to run them."""


def run(arguments: Sequence[str], command: click.Command = edgeclient) -> int:
    """Run the command line; returns the exit code and never raises for an expected failure."""
    _survive_odd_terminals()
    # gRPC's C core writes lines of its own to stderr, among ours; it looks here once, when it is loaded.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        result = command.main(list(arguments), prog_name="edgeclient", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        return _shown(error)
    except (click.Abort, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    except (ReaderLeftError, BrokenPipeError):
        return _broken_pipe()
    except Exception as error:  # noqa: BLE001  the last line of defence: a defect is shown whole, and has its exit code
        sys.excepthook(type(error), error, error.__traceback__)
        return ExitCode.INTERNAL
    return result if isinstance(result, int) else ExitCode.OK


def _shown(error: click.ClickException) -> int:
    try:
        error.show()
    except BrokenPipeError:
        return _broken_pipe()
    return error.exit_code


def _broken_pipe() -> int:
    """Python would complain about the pipe once more when it flushes at exit, so stdout leads nowhere from here on."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    return ExitCode.BROKEN_PIPE


def _survive_odd_terminals() -> None:
    """A terminal that is not UTF-8 shows a question mark for a Chinese character instead of ending the program."""
    for stream in (sys.stdout, sys.stderr):
        _replace_what_cannot_be_shown(stream)


def _replace_what_cannot_be_shown(stream: TextIO) -> None:
    reconfigure = getattr(stream, "reconfigure", None)  # a test's stream may have none
    if reconfigure is not None:
        reconfigure(errors="replace")
