"""Batch Chat: the synchronous endpoint at half the price.

The same request as a live chat, never a stream; the connection is silent until the answer comes as a whole. A call
waits for its turn first, then the model computes. Past the longest wait it is refused with a timeout and is free.
Only some models are served, no snapshots of theirs; neither rate limits nor the context cache apply.

The provider does not say what a client pays that goes away: here nothing while the call waits for its turn, and all of
it once the model computes, as with a live call.
The real one is a host of its own, batch.dashscope.aliyuncs.com. Here it is a path beside the live one, or the live path
under any host whose name begins with `batch.`.
"""

import asyncio
from dataclasses import dataclass
from random import Random
from typing import Final

from .errors import ERRORS, ApiError
from .transaction import Transaction
from .validation import refuse

ROOT: Final = "/batch-chat/compatible-mode/v1"
HOST_BEGIN: Final = "batch."
MODELS: Final = frozenset(
    {
        "qwen3.8-max",
        "qwen3.8-flash",
        "qwen3.7-max",
        "qwen3.7-plus",
        "qwen3.7-flash",
        "qwen3.6-plus",
        "qwen3.6-flash",
        "qwen3.5-plus",
        "qwen3.5-flash",
        "qwen3-max",
        "qwen-plus",
        "qwen-flash",
        "qwen3-vl-plus",
        "sim-echo",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchChatRules:
    """The wait for a turn.

    Attributes:
        wait_s: How long a call waits before the model computes.
        jitter: Its spread; 0.2 is plus or minus 20 %.
        longest_s: After this the call is refused; the provider's hour.
        seed: Of the jitter.
    """

    wait_s: float = 0.0
    jitter: float = 0.0
    longest_s: float = 3600.0
    seed: int = 1

    def check(self, model: str) -> ApiError | None:
        """Refuse a model that is not served."""
        if model in MODELS:
            return None
        return refuse(f"The provided model '{model}' is not supported by the Batch API.", name="model_not_found")

    async def turn_comes(self, transaction: Transaction, computing_s: float) -> bool:
        """Wait for the turn; False if the longest wait is over before the answer would be there."""
        random = Random(f"{self.seed}/batch chat/{transaction.entry.seq}")  # noqa: S311 - repeatable, no secret
        wait_s = self.wait_s * (1 + self.jitter * (2 * random.random() - 1))
        if wait_s + computing_s > self.longest_s:
            await asyncio.sleep(self.longest_s)
            transaction.refuse(ERRORS["request_timeout"])
            return False
        await asyncio.sleep(wait_s)
        transaction.queued = False
        return True
