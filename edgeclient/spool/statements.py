"""The queue's SQL: `queries.sql` and its neighbours, each statement under `-- name: word`, and numbered migrations.

SQL stands in files of its own, where a reader sees every statement that can ever run, and a database tool can run it.
"""

import re
from functools import cache
from importlib import resources

_NAME = re.compile(r"^-- name: ([a-z_]+)$", re.MULTILINE)
_MIGRATION = re.compile(r"^(\d{4})_[a-z_]+\.sql$")
_READABLE = re.compile(r"^-- readable from version (\d+)$", re.MULTILINE)


@cache
def statements() -> dict[str, str]:
    """Every statement of the queue by its name."""
    return named("queries.sql") | named("half_price.sql")


@cache
def named(file: str) -> dict[str, str]:
    """Every statement of a file by its name."""
    text = (resources.files("edgeclient.spool") / "sql" / file).read_text("utf-8")
    _, *parts = _NAME.split(text)
    found = dict(zip(parts[::2], (part.strip().removesuffix(";") for part in parts[1::2]), strict=True))
    if len(found) * 2 != len(parts):
        raise LookupError(f"{file} names a statement twice")
    return found


@cache
def migrations() -> tuple[str, ...]:
    """The scripts that lead from an empty file to the present schema; number n leads from version n - 1 to n."""
    folder = resources.files("edgeclient.spool") / "sql"
    found = sorted((int(match[1]), entry) for entry in folder.iterdir() if (match := _MIGRATION.match(entry.name)))
    if [number for number, _ in found] != list(range(1, len(found) + 1)):
        raise LookupError("migrations are not numbered without a gap")
    return tuple(entry.read_text("utf-8") for _, entry in found)


def oldest_reader(version: int) -> int:
    """The oldest version that can go on with a file of this one; that version itself if no script says otherwise.

    A script with the line `-- readable from version N` promises that a daemon which knows only the first N scripts
    loses nothing and breaks nothing: what it adds are tables of its own, whose rows go with their job and may be
    missing, and nothing that the older daemon writes, reads whole or checks is another one than before.
    """
    declared = (_READABLE.search(script) for script in migrations()[:version])
    return max(int(found[1]) if found else number for number, found in enumerate(declared, start=1))
