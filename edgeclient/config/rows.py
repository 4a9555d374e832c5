"""Tables of the file that have rows: one section each, with a number in its path, such as `prices[0].model`."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, cast

from edgeclient.config.document import Document
from edgeclient.config.layers import unknown
from edgeclient.config.origins import Origin
from edgeclient.config.row_schema import CallerConfig
from edgeclient.config.setting import Section, SettingError, fitted
from edgeclient.config.target_schema import TargetConfig, is_target_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """The rows of one table and where they come from.

    Attributes:
        rows: In the order of the file.
        origins: Origin of every row and value, by path.
        problems: What is wrong in the rows.
    """

    rows: tuple[Section, ...] = ()
    origins: dict[str, Origin] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def rows_of(document: Document, table_name: str, cls: type[Section], *, stand_in: str) -> Rows:
    """The rows of a table.

    Args:
        document: The file.
        table_name: Which table.
        cls: What a row is.
        stand_in: A known model. A row that is wrong is replaced by one about it, so the others keep their numbers for
            what is checked later.
    """
    tables = document.table.get(table_name, [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        sentence = f"wants rows, each below a line [[{table_name}]]"
        return Rows(problems=[f"{table_name}: {sentence} ({document.origin(table_name)})"])
    known = [spec.name for spec in fields(cast("Any", cls))]
    rows = []
    result = Rows()
    for index, table in enumerate(tables):
        path = f"{table_name}[{index}]"
        origins = {name: document.origin(table_name, index, name) for name in table}
        here = result.origins[path] = document.origin(table_name, index)
        result.origins.update({f"{path}.{name}": origin for name, origin in origins.items()})
        for name in (name for name in origins if name not in known):
            candidates = [f"{path}.{candidate}" for candidate in known]
            result.problems.append(unknown(f"{path}.{name}", candidates, origins[name]))
        try:
            row = cls(**{name: fitted(cls, name, table[name]) for name in known if name in table})
        except SettingError as error:
            row = cls(**_stand_in(cls, index, stand_in, table))
            for problem in error.problems:
                result.problems.append(f"{path}.{problem} ({origins.get(problem.partition(':')[0], here)})")
        rows.append(row)
    return Rows(rows=tuple(rows), origins=result.origins, problems=result.problems)


def _stand_in(cls: type[Section], index: int, model: str, table: Mapping[str, Any]) -> dict[str, Any]:
    """The least that a valid row says, by the name of the wrong one, which others may refer to."""
    if cls is TargetConfig:
        known = {name: table[name] for name in ("name", "account") if is_target_name(table.get(name))}
        return {"name": f"row-{index}", "base_url": "https://row.invalid", "api_key_file": "unknown"} | known
    return {"name": f"row-{index}"} if cls is CallerConfig else {"model": model}


def twice(table_name: str, names: list[str]) -> list[str]:
    """A sentence for each name that has more than one row; the first one would win without anybody knowing."""
    return [
        f"{table_name}[{index}].{'name' if table_name == 'callers' else 'model'}: {name!r} has a row already,"
        f" {table_name}[{names.index(name)}]; keep one of them"
        for index, name in enumerate(names)
        if names.index(name) < index
    ]
