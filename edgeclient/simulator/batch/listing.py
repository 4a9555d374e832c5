"""Lists in pages with a cursor, newest first: `after` is the last id of the page before, `limit` the length.

As recorded from the provider, an empty list has null where others have items.
"""

from collections.abc import Mapping, Sequence
from typing import Any


class ListingError(ValueError):
    """The page that was asked for cannot be; the message says why."""


def listing(
    items: Sequence[Mapping[str, Any]], asked: Mapping[str, Sequence[str]], *, usual: int, most: int
) -> dict[str, Any]:
    """The page; `asked` is a parsed query."""
    limit = asked.get("limit", [str(usual)])[-1]
    if not limit.isdigit() or not 1 <= int(limit) <= most:
        raise ListingError(f"limit is {limit!r}, must be a whole number from 1 to {most}")
    begin, after = 0, asked.get("after", [""])[-1]
    if after:
        found = next((number for number, item in enumerate(items) if item["id"] == after), None)
        if found is None:
            raise ListingError(f"after is {after!r}, must be the id of an item of this list")
        begin = found + 1
    page = items[begin : begin + int(limit)]
    return {
        "object": "list",
        "data": page or None,
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
        "has_more": len(items) > begin + len(page),
    }
