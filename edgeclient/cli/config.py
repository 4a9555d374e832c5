"""`edgeclient config`: what the daemon would run with and why, without running it."""

import os
from pathlib import Path

import click

from edgeclient.cli.output import write_json
from edgeclient.cli.settings import as_failure, config_option, load_or_fail, set_option
from edgeclient.config import show as shown
from edgeclient.config.catalogue import catalogue
from edgeclient.config.credentials import VARIABLE
from edgeclient.config.example import example as example_file
from edgeclient.config.load import Loaded
from edgeclient.config.schema import Config
from edgeclient.config.setting import SettingError
from edgeclient.config.targets import targets_of


@click.group()
def config() -> None:
    """Check and show the daemon's configuration."""


@config.command()
@config_option
@set_option
@click.option("--json", "as_json", is_flag=True, help="For programs: values, origins and all models as JSON.")
def show(file: Path | None, overrides: dict[str, str], *, as_json: bool) -> None:
    """Show every value and where it comes from.

    The output is a file that loads to the same configuration. Of the API key it tells where it was found, never what
    it is.
    """
    loaded = load_or_fail(file, overrides)
    api_keys = key_places(loaded)
    if as_json:
        write_json(shown.as_data(loaded, api_keys=api_keys), indent=2)
    else:
        click.echo(shown.as_text(loaded, api_keys=api_keys), nl=False)


@config.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
@set_option
def check(file: Path | None, overrides: dict[str, str]) -> None:
    """Check FILE, or what the daemon would load.

    Environment variables and --set count as they would for the daemon. Prints "ok", and what is prepared in the file of
    prepare.file; or every problem on stderr with exit code 78.
    """
    loaded = load_or_fail(file, overrides)
    prepared = _prepared(loaded.config)
    click.echo("ok")
    if prepared:
        click.echo(prepared)


def _prepared(config: Config) -> str:
    """What the file of prepared answers and templates holds; "" if there is none."""
    if not config.prepare.file:
        return ""
    from edgeclient.config.prepared_file import read_prepared  # noqa: PLC0415  loads more of protobuf than others need

    try:
        prepared = read_prepared(Path(config.prepare.file), catalogue(config))
    except SettingError as error:
        raise as_failure(error) from None
    return f"pinned answers: {prepared.pinned.count}, templates: {', '.join(prepared.templates) or 'none'}"


@config.command()
def example() -> None:
    """Print a file with every setting and its default."""
    click.echo(example_file(), nl=False)


def key_places(loaded: Loaded) -> dict[str, str | None]:
    """For each target the place where its API key is; "" if there is none, None if it wants none."""
    targets = targets_of(loaded.config, catalogue(loaded.config))
    return {each.name: None if each.upstream.keyless else _key_place(each.upstream.api_key_file) for each in targets}


def _key_place(api_key_file: str) -> str:
    """A key file that is named is the only place that counts."""
    if not api_key_file:
        return VARIABLE if os.environ.get(VARIABLE, "").strip() else ""
    try:
        has_key = bool(Path(api_key_file).read_bytes().strip())
    except OSError:
        return ""
    return api_key_file if has_key else ""
