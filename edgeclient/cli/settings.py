"""The options of every command that needs the daemon's configuration, and the one way in which it fails.

All problems are told at once, numbered, on stderr, with the exit code for a wrong configuration, so that a wrong file
is repaired in one round even if the box is far away.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import click

from edgeclient.cli.exit_codes import ExitCode
from edgeclient.cli.failure import Failure
from edgeclient.config.load import Loaded, load
from edgeclient.config.setting import SettingError


def _overrides(_context: click.Context, _parameter: click.Parameter, assignments: tuple[str, ...]) -> dict[str, str]:
    """Texts by path; the last of two for the same setting wins."""
    for assignment in assignments:
        if "=" not in assignment:
            raise click.BadParameter(f"{assignment!r} is no assignment, write for instance log.level=debug")
    return {path.strip(): text for path, _, text in (assignment.partition("=") for assignment in assignments)}


config_option = click.option(
    "--config",
    "file",
    type=click.Path(path_type=Path, readable=False),  # whether it can be read is told with all other problems
    metavar="FILE",
    help="Configuration file. Else: $EDGECLIENT_CONFIG, else /etc/edgeclient/edgeclient.toml if it exists.",
)
"""`--config FILE`, as parameter `file`."""

set_option = click.option(
    "--set",
    "overrides",
    multiple=True,
    callback=_overrides,
    metavar="SECTION.NAME=VALUE",
    help="Set one setting, such as log.level=debug. Wins over file and environment; may be repeated.",
)
"""`--set SECTION.NAME=VALUE`, as parameter `overrides`, a dictionary of texts by path."""


def load_or_fail(file: Path | None, overrides: Mapping[str, str]) -> Loaded:
    """The configuration of this process.

    Raises:
        Failure: With every problem.
    """
    try:
        return load(file=file, environ=os.environ, overrides=overrides)
    except SettingError as error:
        raise as_failure(error) from None


def as_failure(error: SettingError) -> Failure:
    """Every problem, numbered."""
    count = len(error.problems)
    width = len(str(count))
    return Failure(
        ExitCode.CONFIG,
        f"the configuration has {count} problem{'s' if count > 1 else ''}:",
        details=[f"{number:{width}}. {problem}" for number, problem in enumerate(error.problems, start=1)],
    )
