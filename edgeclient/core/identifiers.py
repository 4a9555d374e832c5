"""Identifiers that sort by the time they were made.

48 bits of milliseconds and 80 random bits, written as 26 characters of Crockford's base 32 (the ULID layout): shorter
than a UUID's 36 characters, safe in metadata, URLs and file names, and a list sorted by id is a list sorted by age.
"""

import os

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = tuple(high + low for high in _ALPHABET for low in _ALPHABET)


def new_identifier(*, now_ms: int) -> str:
    """A new identifier of 26 characters.

    Args:
        now_ms: Milliseconds since the Unix epoch; only the order of identifiers depends on it, not their uniqueness.
    """
    value = ((now_ms & 0xFFFF_FFFF_FFFF) << 80) | int.from_bytes(os.urandom(10), "big")
    return "".join([_PAIRS[(value >> shift) & 1023] for shift in range(120, -1, -10)])
