"""A conversation typed at a terminal.

Ctrl-C stops the running answer and nothing else; a second one, before anything new was typed, leaves. A turn that
failed or was stopped is forgotten on our side, so the next question does not stand on half an answer. While a person
types the event loop rests; between two calls the connection is kept by gRPC's own threads.
"""

import asyncio
import importlib
import sys
from contextlib import suppress

import click

from edgeclient.cli.ask import Presentation, ask
from edgeclient.cli.conversation import Conversation
from edgeclient.cli.prompt import well_formed
from edgeclient.cli.report import failure_of
from edgeclient.client import EdgeClient, EdgeError
from edgeclient.v1 import chat_pb2

_HELP = """\
/reset  begin a new conversation
/quit   leave; Ctrl-D does the same
/help   this list
Ctrl-C  stop the running answer; twice: leave"""
_PROMPT = "> "


class Dialogue:
    """Reads, asks and shows until the user leaves."""

    def __init__(
        self,
        runner: asyncio.Runner,
        node: EdgeClient,
        conversation: Conversation,
        *,
        template: chat_pb2.ChatRequest,
        how: Presentation,
        address: str,
    ) -> None:
        self._runner = runner
        self._node = node
        self._conversation = conversation
        self._template = template
        self._how = how
        self._address = address

    def run(self) -> None:
        """Talk until /quit or the end of input; a second Ctrl-C raises KeyboardInterrupt."""
        _edit_lines()
        if not self._how.quiet:
            click.echo(f"Node {self._address}. /help lists the commands.", err=True)
        interrupted = False
        while True:
            try:
                text = self._typed(_PROMPT)
                interrupted = False
                if not self._obey(text):
                    return
            except EOFError:
                click.echo(err=True)
                return
            except KeyboardInterrupt:
                if interrupted:
                    raise
                interrupted = True
                click.echo("\n(stopped; Ctrl-C again or /quit leaves)", err=True)

    def _obey(self, text: str) -> bool:
        """Do what was typed; False ends the conversation."""
        command = text.strip()
        if command in ("/quit", "/exit"):
            return False
        if command == "/reset":
            self._conversation.reset()
            click.echo("(a new conversation)", err=True)
        elif command == "/help":
            click.echo(_HELP, err=True)
        elif command.startswith("/") and command[1:].isalpha():
            click.echo(f"There is no command {command}; /help lists them.", err=True)
        elif command:
            self._say(chat_pb2.Message(role=chat_pb2.ROLE_USER, content=text))
        return True

    def _say(self, message: chat_pb2.Message) -> None:
        turn = [*self._results_of_open_calls(), message]
        while turn:
            request = self._conversation.request(self._template, turn)
            try:
                response = self._runner.run(ask(self._node, request, self._how))
            except EdgeError as error:
                failure_of(error, address=self._address).show()
                return
            if not response.HasField("message"):
                return
            self._conversation.add(turn, response.message)
            turn = self._results_of_open_calls()

    def _results_of_open_calls(self) -> list[chat_pb2.Message]:
        """What the user reads off for each call that the model wants to have made."""
        return [
            chat_pb2.Message(
                role=chat_pb2.ROLE_TOOL, tool_call_id=call.id, content=self._typed(f"result of {call.name}> ")
            )
            for call in self._conversation.open_calls
        ]

    def _typed(self, prompt: str) -> str:
        """A line; the prompt is readline's where it can draw it, and never part of a redirected answer."""
        if not sys.stdout.isatty():
            click.echo(prompt, nl=False, err=True)
            prompt = ""
        return well_formed(input(prompt))


def _edit_lines() -> None:
    """Arrow keys and history within this run; some Pythons are built without readline and do without."""
    with suppress(ImportError):
        importlib.import_module("readline")
    reconfigure = getattr(sys.stdin, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="replace")
