"""The implicit context cache: a prompt that begins like an earlier one is partly charged at the price of a hit.

Prompts are cut into blocks; a block is known by itself and all blocks before it, so only equal beginnings meet. A block
lives for some minutes after its last use. The provider promises no hits; here they are certain, so that prices and the
order of requests can be tested. It gives the shortest prefix as 256 tokens in older text and 1024 in newer.
Left out: the explicit cache (`cache_control`), and that a cache belongs to an account, of which there is one here.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

BLOCK_TOKENS: Final = 64
BLOCKS_MAX: Final = 100_000
TTL_S: Final = 300.0


class PromptCache:
    """Blocks of prompts, by model."""

    def __init__(self, *, min_tokens: int | None, ttl_s: float = TTL_S) -> None:
        self._min_tokens = min_tokens
        self._ttl_s = ttl_s
        self._ends_s: OrderedDict[bytes, float] = OrderedDict()

    @property
    def active(self) -> bool:
        """Is there a cache at all."""
        return self._min_tokens is not None

    def use(self, model: str, tokens: Sequence[str], *, now_s: float) -> int:
        """How many leading tokens are known; all of them are from now on."""
        if self._min_tokens is None or len(tokens) < self._min_tokens:
            return 0
        chain, hit, unbroken = model.encode(), 0, True
        for begin in range(0, len(tokens) - BLOCK_TOKENS + 1, BLOCK_TOKENS):
            block = "".join(tokens[begin : begin + BLOCK_TOKENS])
            chain = hashlib.blake2b(chain + block.encode(errors="surrogatepass"), digest_size=16).digest()
            unbroken = unbroken and self._ends_s.get(chain, 0.0) > now_s
            hit += BLOCK_TOKENS if unbroken else 0
            self._ends_s[chain] = now_s + self._ttl_s
            self._ends_s.move_to_end(chain)
        while len(self._ends_s) > BLOCKS_MAX:
            self._ends_s.popitem(last=False)
        return hit if hit >= self._min_tokens else 0
