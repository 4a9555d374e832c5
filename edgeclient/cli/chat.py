"""`edgeclient chat`: one question, or a conversation."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import click

from edgeclient.cli.ask import Presentation, ask
from edgeclient.cli.connection import Connection, connection_options
from edgeclient.cli.conversation import Conversation
from edgeclient.cli.dialogue import Dialogue
from edgeclient.cli.exit_codes import exit_code_help
from edgeclient.cli.prompt import prompt_of, stdin_is_terminal, well_formed
from edgeclient.cli.report import failures_told
from edgeclient.cli.sampling import Sampling, sampling_options
from edgeclient.v1 import chat_pb2

_EXAMPLES = """\b
Examples:
  edgeclient chat "Is 97 degrees too hot for a boiler?"
  tail -n 200 boiler.log | edgeclient chat "Summarise in one sentence"
  edgeclient chat --session boiler.jsonl "And at 3 bar?"
  edgeclient chat --json "hi" | jq -r .message.content
  edgeclient chat                                       a conversation
"""
_FILE = click.Path(path_type=Path, dir_okay=False)


def turn_of(prompt: str, results: Sequence[str], conversation: Conversation) -> list[chat_pb2.Message]:
    """What is said next: the results of tools that the last answer asked for, then the prompt.

    Raises:
        click.UsageError: A result belongs to no call, or a call is left without result.
    """
    given: dict[str, str] = {}
    for result in results:
        call_id, equals, content = result.partition("=")
        if not equals:
            raise click.UsageError(f"--tool-result {result!r}: give CALL_ID=RESULT")
        given[call_id] = well_formed(content)
    wanted = [call.id for call in conversation.open_calls]
    if set(given) != set(wanted):
        raise click.UsageError(f"--tool-result: the conversation waits for {', '.join(wanted) or 'no result'}")
    turn = [chat_pb2.Message(role=chat_pb2.ROLE_TOOL, tool_call_id=name, content=given[name]) for name in wanted]
    if prompt:
        turn.append(chat_pb2.Message(role=chat_pb2.ROLE_USER, content=prompt))
    return turn


async def _ask_once(connection: Connection, request: chat_pb2.ChatRequest, how: Presentation) -> chat_pb2.ChatResponse:
    async with connection.client() as node:
        return await ask(node, request, how)


def _talk(
    connection: Connection, conversation: Conversation, template: chat_pb2.ChatRequest, how: Presentation
) -> None:
    client = connection.client()
    with asyncio.Runner() as runner:
        node = runner.run(client.__aenter__())
        try:
            Dialogue(runner, node, conversation, template=template, how=how, address=connection.address).run()
        finally:
            runner.run(client.__aexit__(None, None, None))


@click.command("chat", epilog=f"{_EXAMPLES}\n{exit_code_help()}")
@click.argument("words", nargs=-1, metavar="[PROMPT]")
@sampling_options
@click.option("--session", type=_FILE, help="Keep the conversation in this JSONL file and go on with it.")
@click.option("--conversation-id", default="", help="Name by which the node keeps the order of a conversation.")
@click.option("--tool-result", "results", multiple=True, metavar="ID=RESULT", help="Answer to a tool call; repeatable.")
@click.option("--show-reasoning", is_flag=True, help="Show what the model thinks, on stderr.")
@click.option("--no-stream", is_flag=True, help="Show the answer when it is complete.")
@click.option("--no-stdin", "-n", is_flag=True, help="Do not read stdin; needed inside of `while read` loops.")
@click.option("--quiet", "-q", is_flag=True, help="No line of facts (tokens, times, cost) at the end.")
@click.option("--json", "as_json", is_flag=True, help="The answer as one JSON object, a ChatResponse.")
@connection_options
def chat(
    *,
    words: tuple[str, ...],
    sampling: Sampling,
    session: Path | None,
    conversation_id: str,
    results: tuple[str, ...],
    show_reasoning: bool,
    no_stream: bool,
    no_stdin: bool,
    quiet: bool,
    as_json: bool,
    connection: Connection,
) -> None:
    """Ask a node and show the answer as it comes.

    PROMPT is the question; what is piped in is appended to it. Without both, at a terminal, a conversation begins;
    /help there lists its commands.
    """
    template = sampling.request()
    template.conversation_id = conversation_id
    template.include_reasoning = show_reasoning
    how = Presentation(
        stream=not no_stream,
        as_json=as_json,
        show_reasoning=show_reasoning,
        quiet=quiet,
        timeout_s=connection.timeout_s,
    )
    prompt = prompt_of(words, read_stdin=not no_stdin)
    with Conversation(session, system=sampling.system) as conversation, failures_told(address=connection.address):
        if not prompt and not results:
            if not stdin_is_terminal():
                raise click.UsageError("there is no prompt: give it as argument or on stdin")
            _talk(connection, conversation, template, how)
            return
        turn = turn_of(prompt, results, conversation)
        response = asyncio.run(_ask_once(connection, conversation.request(template, turn), how))
        if response.HasField("message"):
            conversation.add(turn, response.message)
