"""The operator's prices: rows of the file, one for each model and size of request.

None is built in: prices change too often, and differ too much between regions and contracts, to live in code.
"""

from dataclasses import dataclass, field, fields

from edgeclient.config.document import Document
from edgeclient.config.layers import unknown
from edgeclient.config.origins import Origin
from edgeclient.config.schema import PriceConfig
from edgeclient.config.setting import SettingError, fitted


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """Prices and where they come from.

    Attributes:
        rows: In the order of the file.
        origins: Origin of every row and value, by path such as `prices[0].model`.
        problems: What is wrong in the rows.
    """

    rows: tuple[PriceConfig, ...] = ()
    origins: dict[str, Origin] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def prices_of(document: Document, *, stand_in: str) -> Prices:
    """The prices of the file.

    Args:
        document: The file.
        stand_in: A known model, for a row that is wrong; so the others keep their numbers for what is checked later.
    """
    tables = document.table.get("prices", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        return Prices(problems=[f"prices: wants rows, each below a line [[prices]] ({document.origin('prices')})"])
    known = [spec.name for spec in fields(PriceConfig)]
    rows = []
    result = Prices()
    for index, table in enumerate(tables):
        path = f"prices[{index}]"
        origins = {name: document.origin("prices", index, name) for name in table}
        here = result.origins[path] = document.origin("prices", index)
        result.origins.update({f"{path}.{name}": origin for name, origin in origins.items()})
        for name in (name for name in origins if name not in known):
            candidates = [f"{path}.{candidate}" for candidate in known]
            result.problems.append(unknown(f"{path}.{name}", candidates, origins[name]))
        try:
            row = PriceConfig(**{name: fitted(PriceConfig, name, table[name]) for name in known if name in table})
        except SettingError as error:
            row = PriceConfig(model=stand_in)
            for problem in error.problems:
                result.problems.append(f"{path}.{problem} ({origins.get(problem.partition(':')[0], here)})")
        rows.append(row)
    return Prices(rows=tuple(rows), origins=result.origins, problems=result.problems)
