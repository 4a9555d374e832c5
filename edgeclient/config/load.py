"""From the default, the file, the environment and the flags to one configuration, or to everything that is wrong.

The order is defaults < file < environment < flags, each setting by itself. All problems are collected and raised
together, each with the place where the wrong value stands: whoever repairs a file on a remote box wants to do it once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, cast

from edgeclient.config.catalogue import model_problems
from edgeclient.config.document import Document, read_document
from edgeclient.config.layers import FILE_VARIABLE, defaults, of_document, of_environment, of_flags
from edgeclient.config.models import models_of
from edgeclient.config.origins import Given, Origin
from edgeclient.config.row_schema import ROWS
from edgeclient.config.rows import rows_of
from edgeclient.config.schema import SECTIONS, Config
from edgeclient.config.setting import Section, SettingError, fitted

DEFAULT_FILE = Path("/etc/edgeclient/edgeclient.toml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A configuration and where it comes from.

    Attributes:
        config: The configuration, complete and checked.
        origins: Origin of every setting by its path (`upstream.base_url`), of every model table and fact of the
            operator (`models.my-model.tools`) and of every row (`prices[0].model`).
        file: The file that was read; None if there was none.
    """

    config: Config
    origins: Mapping[str, Origin]
    file: Path | None = None


def file_of(file: Path | None, environ: Mapping[str, str], default_file: Path = DEFAULT_FILE) -> Path:
    """The file that `load` reads; it need not exist if nobody names it."""
    return file or (Path(environ[FILE_VARIABLE]) if environ.get(FILE_VARIABLE) else default_file)


def load(
    *,
    file: Path | None,
    environ: Mapping[str, str],
    overrides: Mapping[str, str],
    default_file: Path = DEFAULT_FILE,
) -> Loaded:
    """Load the configuration.

    Args:
        file: The file that a flag names; None: the variable EDGECLIENT_CONFIG names one, or `default_file` is read if
            it exists.
        environ: The environment variables.
        overrides: Texts by path, from flags.
        default_file: The file that is read if nobody names one.

    Raises:
        SettingError: With all problems.
    """
    named = file or (Path(environ[FILE_VARIABLE]) if environ.get(FILE_VARIABLE) else None)
    problems: list[str] = []
    document = _document(named, default_file, problems)
    given = {path: Given(value=value, origin=Origin()) for path, value in defaults().items()}
    for layer in (of_document(document), of_environment(environ), of_flags(overrides)):
        given |= layer.given
        problems += layer.problems
    origins = {path: value.origin for path, value in given.items()}
    sections = {name: _section(name, cls, given, problems) for name, cls in SECTIONS.items()}
    models = models_of(document)
    tables = {name: rows_of(document, name, cls, stand_in=models.specs[0].id) for name, cls in ROWS.items()}
    problems += models.problems
    origins |= models.origins
    for table in tables.values():
        problems += table.problems
        origins |= table.origins
    try:
        rows = {name: table.rows for name, table in tables.items()}
        config = Config(**cast("Any", sections | rows), models=models.specs)
    except SettingError as error:
        problems += [_located(problem, origins) for problem in error.problems]
    else:
        problems += [_located(problem, origins) for problem in model_problems(config)]
    if problems:
        raise SettingError(problems)
    return Loaded(config=config, origins=origins, file=document.path)


def _document(named: Path | None, default_file: Path, problems: list[str]) -> Document:
    try:
        return read_document(named or default_file)
    except FileNotFoundError as error:
        if named:
            problems.append(f"{named}: cannot be read: {error.strerror}")
    except SettingError as error:
        problems += error.problems
    return Document()


def _section(name: str, cls: type[Section], given: Mapping[str, Given], problems: list[str]) -> Section:
    """The section; where settings are wrong, one without them, so that the rest can be checked all the same."""
    mine = {spec.name: given[f"{name}.{spec.name}"] for spec in fields(cast("Any", cls))}
    values = {setting: fitted(cls, setting, value.value) for setting, value in mine.items()}
    told = _told(cls, values)
    wrong = {setting for setting, _ in told}
    kept = {setting: value for setting, value in values.items() if setting not in wrong}
    told_late = _told(cls, kept) if wrong else []
    # What is wrong now may come from a setting that was taken out; only a value that somebody did set is to blame.
    told += [
        (setting, problem) for setting, problem in told_late if setting in kept and mine[setting].origin != Origin()
    ]
    problems += [f"{name}.{problem}{_place(mine[setting].origin)}" for setting, problem in told]
    return cls() if told_late else cls(**kept)


def _told(cls: type[Section], values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The name of the setting and the sentence for each problem of a section."""
    try:
        cls(**values)
    except SettingError as error:
        return [(problem.partition(":")[0], problem) for problem in error.problems]
    return []


def _located(problem: str, origins: Mapping[str, Origin]) -> str:
    """The problem and where its value stands; for a part of a table that is the table."""
    path = problem.partition(": ")[0]
    while path and path not in origins:
        path = path.rpartition(".")[0]
    return problem + _place(origins[path]) if path else problem


def _place(origin: Origin) -> str:
    return "" if origin == Origin() else f" ({origin})"
