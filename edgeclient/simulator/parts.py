"""Makes and joins the parts of the simulated cloud; no decision in it.

The connections are not here: they belong to `simulator`, which owns the port.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from .admin import Admin
from .batch.api_limits import ApiGate
from .batch.batches_api import BatchesApi
from .batch.file_store import FileStore
from .batch.files_api import FilesApi
from .batch.management import Management
from .batch.runner import BatchRunner
from .batch_chat import BatchChatRules
from .captured import CapturedExchange
from .chat import ChatParts
from .config import SimulatorConfig
from .faults import FaultBook
from .host import Stats, Work
from .identifiers import Identifiers
from .ledger import Ledger
from .origin import Origin
from .pace import Pace, Paces, seconds_each
from .prompt_cache import PromptCache
from .rates.judge import RateJudge
from .rates.model_limits import ModelLimits
from .router import Router


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a simulator is made of, as far as tests and the admin API look at it."""

    faults: FaultBook
    ledger: Ledger
    rates: RateJudge
    gate: ApiGate
    files: FileStore
    batches: BatchRunner
    router: Router


def make_parts(
    config: SimulatorConfig, stats: Stats, *, spawn: Callable[[Work, str], object], clock: Callable[[], float]
) -> Parts:
    """All of it, from the configuration; `spawn` runs the work of batches, `clock` never runs backwards."""
    faults = FaultBook(seed=config.seed, clock=clock)
    ledger = Ledger(
        entries_max=config.ledger_entries_max,
        keep_bodies=config.keep_bodies,
        kept_bodies_max_bytes=config.kept_bodies_max_bytes,
    )
    rates = RateJudge(_limits(config), clock=clock)
    gate = ApiGate(enforced=config.batch.api_limits, clock=clock)
    files = FileStore(config.batch, new_id=Identifiers(config.seed, "files").hex_digits, clock=time.time)
    router: Router

    async def serve(exchange: CapturedExchange, origin: Origin) -> str:
        return await router.carry_out(exchange, origin)

    batches = BatchRunner(
        rules=config.batch,
        pace=config.batch_pace,
        files=files,
        serve=serve,
        spawn=spawn,
        changed=ledger.changed,
        clock=time.time,
        seed=config.seed,
    )
    paces = _paces(config)
    router = Router(
        ledger=ledger,
        faults=faults,
        admin=Admin(faults=faults, ledger=ledger, stats=stats, rates=rates, gate=gate, paces=paces, batches=batches),
        chat=_chat_parts(config, rates, paces, clock),
        management=Management(FilesApi(files, config.batch), BatchesApi(batches, files), gate),
        api_key=config.api_key,
        gzip=config.gzip,
    )
    return Parts(faults=faults, ledger=ledger, rates=rates, gate=gate, files=files, batches=batches, router=router)


def _chat_parts(config: SimulatorConfig, rates: RateJudge, paces: Paces, clock: Callable[[], float]) -> ChatParts:
    return ChatParts(
        seed=config.seed,
        sampling=config.sampling,
        paces=paces,
        rates=rates,
        cache=PromptCache(min_tokens=config.cache_min_tokens),
        tokens_per_chunk=config.tokens_per_chunk,
        batch_chat=BatchChatRules(
            wait_s=config.batch_chat_wait_ms / 1000,
            jitter=config.jitter,
            longest_s=config.batch_chat_longest_s,
            seed=config.seed,
        ),
        clock=clock,
    )


def _paces(config: SimulatorConfig) -> Paces:
    usual = Pace(
        latency_s=config.latency_ms / 1000,
        ttft_s=config.ttft_ms / 1000,
        token_s=seconds_each(config.tokens_per_s),
        prompt_token_s=seconds_each(config.prefill_tokens_per_s),
        jitter=config.jitter,
        seed=config.seed,
    )
    return Paces(usual, config.paces)


def _limits(config: SimulatorConfig) -> tuple[ModelLimits, ...]:
    """The rows, and one for all other models if there are limits for all."""
    if config.rpm is None and config.tpm is None:
        return config.limits
    return (*config.limits, ModelLimits(model="*", rpm=config.rpm, tpm=config.tpm))
