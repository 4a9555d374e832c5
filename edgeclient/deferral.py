"""The wiring of the provider's half-price interfaces. No logic; who uses them is wired in `durable.py`."""

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from edgeclient.config.schema import Config
from edgeclient.core.call import Handler
from edgeclient.core.events import Uplink
from edgeclient.core.half_price import BatchProvider, FinishAnswer
from edgeclient.core.models import Catalogue, ModelSpec, UnknownModelError
from edgeclient.core.ports import Observe
from edgeclient.policy.half_price_answer import Answers
from edgeclient.policy.pricing import Prices, PriceTable, ScaledPrices
from edgeclient.upstream.batch.at_targets import BatchesAtTargets, made_at
from edgeclient.upstream.batch.chat import BatchChat
from edgeclient.upstream.batch.files import FileBatches
from edgeclient.upstream.endpoint import Endpoint
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
        serves: Name of the model with an id where new batches are made; None: it is not served there.
        uplink: What is believed of the way to where the batch or file with an id was made; of "" to where new ones are.
        chat: Asks the synchronous endpoint; None in another mode.
        close: Closes its connection.
    """

    files: BatchProvider
    finish: FinishAnswer
    model_of: Callable[[str], ModelSpec]
    serves: Callable[[str], str | None]
    uplink: Callable[[str], Uplink]
    chat: Handler | None = None
    close: Callable[[], Awaitable[None]] = _nothing_to_close


def deferral(
    config: Config,
    endpoints: Sequence[Endpoint],
    *,
    models: Catalogue,
    prices: PriceTable,
    observe: Observe,
    environ: Mapping[str, str] = os.environ,
) -> Deferral:
    """Make and join them; `endpoints` are those of the targets, in the order of preference."""

    def model_of(model_id: str) -> ModelSpec:
        try:
            return models.resolve(model_id)
        except UnknownModelError:
            return ModelSpec(id=model_id)

    def uplink(marked_id: str) -> Uplink:
        name = made_at(marked_id) or (endpoints[0].name if marked_id else home.name)
        return next((each.uplink.state for each in endpoints if each.name == name), Uplink.UNKNOWN)

    home = next(each for each in endpoints if each.name == (config.half_price.target or endpoints[0].name))
    settings, target = home.settings, f"{home.name}/batch"
    paid: Prices = ScaledPrices(prices, factor=settings.price_factor) if settings.price_factor != 1 else prices
    finish = Answers(paid, model_of=model_of, target=target)
    made: Callable[..., Deferral] = partial(
        Deferral,
        files=_files(config, endpoints, home),
        finish=finish,
        model_of=model_of,
        serves=settings.serves,
        uplink=uplink,
    )
    if config.half_price.mode != "chat":
        return made()
    clock = home.transport.clock
    silent = replace(
        settings.upstream,
        base_url=config.half_price.base_url,
        max_in_flight=config.half_price.max_in_flight,
        total_timeout_s=config.half_price.chat_timeout_s,
    )
    transport = Transport(silent, home.key, observe=observe, clock=clock, environ=environ)
    chat = BatchChat(
        silent, transport, finish=finish, target=target, observe=observe, clock=clock, serves=settings.serves
    )
    return made(chat=chat, close=transport.close)


def _files(config: Config, endpoints: Sequence[Endpoint], home: Endpoint) -> BatchProvider:
    """Batches at all targets that may have some; a node with one target alone needs no names in its ids."""
    providers = {
        each.name: FileBatches(
            config.half_price, each.transport, target=f"{each.name}/batch", serves=each.settings.serves
        )
        for each in endpoints
        if not each.settings.local
    }
    if not config.targets:
        return providers[home.name]
    return BatchesAtTargets(providers, home=home.name, first=endpoints[0].name)
