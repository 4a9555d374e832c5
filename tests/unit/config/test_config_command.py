import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from edgeclient.cli.config import config
from edgeclient.cli.connection import connection_options
from edgeclient.config.example import example


def run(*arguments: str, **environ: str) -> Result:
    clean = {"EDGECLIENT_CONFIG": None, "DASHSCOPE_API_KEY": None}
    return CliRunner().invoke(config, arguments, env={**clean, **environ})


@pytest.fixture
def good(tmp_path: Path) -> Path:
    file = tmp_path / "good.toml"
    file.write_text("[log]\nlevel = 'debug'\n", encoding="utf-8")
    return file


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    file = tmp_path / "bad.toml"
    file.write_text("[log]\nlevel = 'loud'\nlevle = 1\n", encoding="utf-8")
    return file


def test_right_file_is_ok(good: Path) -> None:
    result = run("check", str(good))
    assert (result.exit_code, result.stdout, result.stderr) == (0, "ok\n", "")


def test_wrong_file_is_told_on_stderr_with_the_code_for_it(bad: Path) -> None:
    result = run("check", str(bad))
    assert (result.exit_code, result.stdout) == (78, "")
    assert result.stderr == (
        "Error: the configuration has 2 problems:\n"
        f"  1. log.levle is not a setting; did you mean log.level (set in {bad}:3)\n"
        f"  2. log.level: 'loud' is none of debug, info, warning, error (set in {bad}:2)\n"
    )


def test_prepared_answers_are_checked_and_told(good: Path, tmp_path: Path) -> None:
    prepared = tmp_path / "prepared.toml"
    prepared.write_text("[templates.diagnose]\nprompt = 'p'\n", encoding="utf-8")
    named = ("--set", f"prepare.file={prepared}")
    assert "ok\npinned answers: 0, templates: diagnose\n" == run("check", str(good), *named).stdout

    prepared.write_text("[templates.diagnose]\npromt = 'p'\n", encoding="utf-8")
    result = run("check", str(good), *named)
    assert 78 == result.exit_code
    assert f"1. {prepared}:2: templates.diagnose.promt: there is no promt; did you mean prompt" in result.stderr


def test_check_looks_at_what_the_daemon_would_load(good: Path) -> None:
    assert run("check", EDGECLIENT_CONFIG=str(good)).stdout == "ok\n"
    assert run("check", str(good), EDGECLIENT_LOG_LEVEL="loud").exit_code == 78
    assert run("check", str(good), "--set", "log.level=loud").exit_code == 78


def test_flag_that_assigns_nothing_is_wrong_usage() -> None:
    result = run("check", "--set", "log.level")
    assert result.exit_code == 2
    assert "write for instance log.level=debug" in result.stderr


def test_value_of_a_flag_may_hold_equals_signs_and_the_last_one_wins(good: Path) -> None:
    result = run("show", "--config", str(good), "--json", "--set", "node.id=x", "--set", "node.id=a=b")
    assert json.loads(result.stdout)["settings"]["node"]["id"]["value"] == "a=b"


def test_show_tells_where_the_key_is_and_never_what_it_is(good: Path, tmp_path: Path) -> None:
    key_file = tmp_path / "key"
    with_file = ("show", "--config", str(good), "--set", f"upstream.api_key_file={key_file}")
    assert "# api key: missing" in run("show", "--config", str(good)).stdout
    assert "# api key: missing" in run(*with_file, DASHSCOPE_API_KEY="sk-secret").stdout
    key_file.write_text("sk-secret\n", encoding="utf-8")
    shown = run(*with_file).stdout + run("show", "--config", str(good), DASHSCOPE_API_KEY="sk-secret").stdout
    assert f"# api key: found in {key_file}" in shown
    assert "# api key: found in DASHSCOPE_API_KEY" in shown
    assert "secret" not in shown


def test_show_of_a_wrong_configuration_shows_the_problems(bad: Path) -> None:
    assert run("show", "--config", str(bad)).exit_code == 78


def test_example_is_printed_as_it_is() -> None:
    assert run("example").stdout == example()


def test_variables_of_the_other_commands_are_no_settings(good: Path) -> None:
    @connection_options
    def command(**_: object) -> None: ...

    options = click.command()(command).params
    names = {option.envvar for option in options if isinstance(option.envvar, str)}
    assert "EDGECLIENT_ADDRESS" in names
    assert run("check", str(good), **dict.fromkeys(names, "1")).stdout == "ok\n"
