"""Ids that look like the provider's and are the same in each run with the same seed."""

from random import Random


class Identifiers:
    """A source of ids; `what` keeps two sources with one seed apart."""

    def __init__(self, seed: int, what: str = "") -> None:
        self._random = Random(f"{seed}/{what}" if what else seed)  # noqa: S311 - repeatable, no secret

    def hex_digits(self) -> str:
        """32 of them."""
        return f"{self._random.getrandbits(128):032x}"

    def uuid(self) -> str:
        """The same with dashes."""
        digits = self.hex_digits()
        return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
