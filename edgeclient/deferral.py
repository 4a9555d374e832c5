"""The wiring of the provider's half-price interfaces. No logic; who uses them is wired in `durable.py`."""

import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

from edgeclient.config.schema import Config
from edgeclient.core.call import Handler
from edgeclient.core.half_price import BatchProvider, FinishAnswer
from edgeclient.core.models import Catalogue, ModelSpec, UnknownModelError
from edgeclient.core.ports import KeySource, Observe
from edgeclient.policy.half_price_answer import Answers
from edgeclient.policy.pricing import PriceTable
from edgeclient.upstream.batch.chat import BatchChat
from edgeclient.upstream.batch.files import FileBatches
from edgeclient.upstream.transport import Transport


async def _nothing_to_close() -> None:
    """Only the mode `chat` has a connection of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deferral:
    """What was made.

    Attributes:
        files: Batches in files. Also in another mode: there may be some that were ordered before.
        finish: Completes their answers.
        model_of: The model of an id, also of one that the node has no more.
        chat: Asks the synchronous endpoint; None in another mode.
        close: Closes its connection.
    """

    files: BatchProvider
    finish: FinishAnswer
    model_of: Callable[[str], ModelSpec]
    chat: Handler | None = None
    close: Callable[[], Awaitable[None]] = _nothing_to_close


def deferral(
    config: Config,
    *,
    transport: Transport,
    key: KeySource,
    models: Catalogue,
    prices: PriceTable,
    observe: Observe,
    environ: Mapping[str, str] = os.environ,
) -> Deferral:
    """Make and join them."""

    def model_of(model_id: str) -> ModelSpec:
        try:
            return models.resolve(model_id)
        except UnknownModelError:
            return ModelSpec(id=model_id)

    target = f"{config.upstream.name}/batch"
    finish = Answers(prices, model_of=model_of, target=target)
    files = FileBatches(config.half_price, transport, target=target)
    if config.half_price.mode != "chat":
        return Deferral(files=files, finish=finish, model_of=model_of)
    clock = transport.clock
    silent = replace(
        config.upstream,
        base_url=config.half_price.base_url,
        max_in_flight=config.half_price.max_in_flight,
        total_timeout_s=config.half_price.chat_timeout_s,
    )
    silent_transport = Transport(silent, key, observe=observe, clock=clock, environ=environ)
    chat = BatchChat(silent, silent_transport, finish=finish, target=target, observe=observe, clock=clock)
    return Deferral(files=files, finish=finish, model_of=model_of, chat=chat, close=silent_transport.close)
