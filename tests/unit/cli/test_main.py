"""The command line without commands."""

import importlib.util

import click
import pytest
from click.testing import CliRunner

from edgeclient.cli.exit_codes import MEANINGS, ExitCode, exit_code_help
from edgeclient.cli.failure import Failure
from edgeclient.cli.main import COMMANDS, LazyGroup, edgeclient, run

OWN = ("chat", "batch", "models", "version")


def test_help_lists_every_command_and_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0

    shown = capsys.readouterr().out
    assert all(f"  {name} " in shown for name in COMMANDS)
    assert all(f"{code.value}  {MEANINGS[code]}" in shown for code in ExitCode)


@pytest.mark.parametrize("name", OWN)
def test_help_of_a_command_has_examples_and_short_lines(name: str) -> None:
    result = CliRunner().invoke(edgeclient, [name, "--help"], terminal_width=100)

    assert result.exit_code == 0
    assert all(len(line) <= 100 for line in result.output.splitlines())
    assert "\\b" not in result.output
    assert name == "version" or "\n  Examples:\n    " in result.output


@pytest.mark.parametrize("name", OWN)
def test_command_is_found_by_its_name(name: str) -> None:
    command = edgeclient.get_command(click.Context(edgeclient), name)

    assert command
    assert command.name == name
    assert importlib.util.find_spec(COMMANDS[name].module)


def test_unknown_command_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["nonsense"]) == 2
    assert "No such command 'nonsense'" in capsys.readouterr().err


def test_version_tells_what_a_bug_report_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["version"]) == 0

    shown = capsys.readouterr().out
    assert all(word in shown for word in ("edgeclient", "python", "grpcio", "protobuf_implementation", "http_engine"))


def test_exit_code_table_is_complete() -> None:
    assert set(ExitCode) == set(MEANINGS)
    assert exit_code_help().startswith("\b")


def group_with(error: BaseException) -> LazyGroup:
    group = LazyGroup("edgeclient", invoke_without_command=True)

    @group.result_callback()
    def _ignore(*_: object) -> None: ...

    @click.pass_context
    def body(_: click.Context) -> None:
        raise error

    group.callback = body
    return group


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Failure(ExitCode.CONFIG, "wrong file"), 78),
        (KeyboardInterrupt(), 130),
        (click.exceptions.Exit(75), 75),
        (ZeroDivisionError("defect"), 70),
    ],
)
def test_every_end_has_its_code(error: BaseException, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([], group_with(error)) == code
    assert ("Traceback" in capsys.readouterr().err) is (code == 70)


def test_failure_shows_a_sentence_and_its_details(capsys: pytest.CaptureFixture[str]) -> None:
    Failure(ExitCode.DATA, "it is wrong", details=["temperature: too hot", "Request id: 1"]).show()

    assert capsys.readouterr().err == "Error: it is wrong\n  temperature: too hot\n  Request id: 1\n"
