"""The queue's SQL: `sql/queries.sql`, each statement under a line `-- name: word`, and the numbered migrations.

SQL stands in files of its own, where a reader sees every statement that can ever run, and a database tool can run it.
"""

import re
from functools import cache
from importlib import resources

_NAME = re.compile(r"^-- name: ([a-z_]+)$", re.MULTILINE)
_MIGRATION = re.compile(r"^(\d{4})_[a-z_]+\.sql$")


@cache
def statements() -> dict[str, str]:
    """Every statement by its name."""
    text = (resources.files("edgeclient.spool") / "sql" / "queries.sql").read_text("utf-8")
    _, *parts = _NAME.split(text)
    named = dict(zip(parts[::2], (part.strip().removesuffix(";") for part in parts[1::2]), strict=True))
    if len(named) * 2 != len(parts):
        raise LookupError("queries.sql names a statement twice")
    return named


@cache
def migrations() -> tuple[str, ...]:
    """The scripts that lead from an empty file to the present schema; number n leads from version n - 1 to n."""
    folder = resources.files("edgeclient.spool") / "sql"
    found = sorted((int(match[1]), entry) for entry in folder.iterdir() if (match := _MIGRATION.match(entry.name)))
    if [number for number, _ in found] != list(range(1, len(found) + 1)):
        raise LookupError("migrations are not numbered without a gap")
    return tuple(entry.read_text("utf-8") for _, entry in found)
