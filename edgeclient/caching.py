"""The wiring of what answers without the provider: prepared answers, cache, shared calls. No logic.

A node that keeps answers in memory only loads neither SQLite nor ciphers nor the client of Redis for it, and one that
has nothing prepared does not load what reads such a file.
"""

import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edgeclient.cache.memory import MemoryStore
from edgeclient.cache.seal import Checksum, Seal
from edgeclient.cache.tiers import Store, TieredCache
from edgeclient.config.redis_password import redis_password
from edgeclient.config.schema import Config
from edgeclient.config.setting import SettingError
from edgeclient.config.targets import targets_of
from edgeclient.config.unreadable import check_readable
from edgeclient.core.cache import CacheStats, ResponseCache
from edgeclient.core.models import Catalogue
from edgeclient.core.ports import Clock, Observe
from edgeclient.policy.prepared import Prepared
from edgeclient.runtime import SystemClock, Work
from edgeclient.spool.node_key import node_key
from edgeclient.stages.cache import Cache
from edgeclient.stages.coalesce import Coalesce
from edgeclient.stages.prepare import Prepare


async def _nothing_to_do() -> None:
    """A part that a node does not have needs no opening and no closing."""


def _nobody_to_tell() -> None:
    """Nor has it to be told anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caching:
    """What was made.

    Attributes:
        cache: Keeps answers; None: this node has no place for them.
        prepare, keep, share: The stages, in the order in which a call passes them; between `keep` and `share` stand the
            offline policies.
        background: What runs all the time.
        open, close: See `Daemon`.
        models_changed: Told that names of models mean something else now.
    """

    cache: ResponseCache | None
    prepare: Prepare
    keep: Cache
    share: Coalesce
    background: Mapping[str, Work] = field(default_factory=dict)
    open: Callable[[], Awaitable[None]] = _nothing_to_do
    close: Callable[[], Awaitable[None]] = _nothing_to_do
    models_changed: Callable[[], None] = _nobody_to_tell

    async def forget(self, caller: str) -> None:
        """Take the answers of a caller out of the cache.

        Raises:
            CacheUnreachableError: A place could not be reached, so something may be left there.
        """
        if self.cache is not None:
            await self.cache.forget(caller)

    def stats(self) -> CacheStats:
        """Counts of the cache."""
        return self.cache.stats() if self.cache is not None else CacheStats()


@dataclass(slots=True, kw_only=True)
class _Parts:
    """The places of a cache while they are made."""

    stores: list[tuple[str, Store]] = field(default_factory=list)
    background: dict[str, Work] = field(default_factory=dict)
    opens: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    models_changed: Callable[[], None] = _nobody_to_tell
    closes: list[Callable[[], Awaitable[None]]] = field(default_factory=list)


def caching(
    config: Config, *, models: Catalogue, environ: Mapping[str, str], observe: Observe, clock: Clock
) -> Caching:
    """Make and join what answers without the provider.

    Raises:
        SettingError: A file that the configuration names cannot be used.
    """
    parts = _stores(config, environ, observe=observe, clock=clock)
    cache = None
    if config.cache.max_bytes or parts.stores:
        memory = MemoryStore(config.cache, clock=clock, observe=observe)
        cache = TieredCache(memory, parts.stores, config.cache)
    prepared = _prepared(parts, config, models=models, observe=observe, clock=clock)
    targets = targets_of(config, models)
    realm = " ".join(sorted({target.upstream.base_url for target in targets if not target.local}))

    async def open_all() -> None:
        for each in parts.opens:
            await each()

    async def close_all() -> None:
        for each in reversed(parts.closes):
            await each()

    return Caching(
        cache=cache,
        prepare=Prepare(prepared, observe=observe),
        keep=Cache(
            cache,
            config.cache,
            realm=realm,
            observe=observe,
            stand_ins=[target.name for target in targets if target.local],
        ),
        share=Coalesce(config.cache, realm=realm, clock=clock, observe=observe),
        background=parts.background,
        open=open_all,
        close=close_all,
        models_changed=parts.models_changed,
    )


def _stores(config: Config, environ: Mapping[str, str], *, observe: Observe, clock: Clock) -> _Parts:
    parts = _Parts()
    if config.cache.directory:
        _add_disk(parts, config, observe=observe, clock=clock)
    if config.cache.redis_url:
        _add_redis(parts, config, environ, observe=observe, clock=clock)
    return parts


async def forgotten(
    config: Config, caller: str, *, environ: Mapping[str, str] = os.environ, clock: Clock | None = None
) -> None:
    """Take the answers of a caller out of all places that outlive a daemon, while there is none.

    Raises:
        SettingError: A place cannot be used.
        CacheUnreachableError: One could not be reached, so something may be left there.
    """
    clock = clock or SystemClock()
    parts = _stores(config, environ, observe=lambda _event: None, clock=clock)
    for each in parts.opens:
        await each()
    try:
        for _, store in parts.stores:
            await store.forget(caller)
    finally:
        for close in reversed(parts.closes):
            await close()


def _prepared(
    parts: _Parts, config: Config, *, models: Catalogue, observe: Observe, clock: Clock
) -> Callable[[], Prepared]:
    if not config.prepare.file:
        nothing = Prepared()
        return lambda: nothing
    from edgeclient.config.prepared_source import PreparedSource  # noqa: PLC0415  see the module

    source = PreparedSource(Path(config.prepare.file), catalogue=models, observe=observe, clock=clock)
    parts.background["prepared answers"] = source.run
    parts.models_changed = source.models_changed
    return source.current


def _add_disk(parts: _Parts, config: Config, *, observe: Observe, clock: Clock) -> None:
    from edgeclient.cache.disk import DiskStore  # noqa: PLC0415  see the module

    seal = _seal(config.spool.encryption_key_file, "spool.encryption_key_file", "cache on disk", clock)
    disk = DiskStore(config.cache, seal=seal, clock=clock, observe=observe)
    parts.stores.append(("disk", disk))
    parts.opens.append(disk.open)
    parts.closes.append(disk.close)


def _add_redis(parts: _Parts, config: Config, environ: Mapping[str, str], *, observe: Observe, clock: Clock) -> None:
    try:
        from edgeclient.cache.redis_link import RedisLink  # noqa: PLC0415  see the module
        from edgeclient.cache.redis_store import RedisStore  # noqa: PLC0415
    except ModuleNotFoundError:
        problem = "wants the client of Redis, which is not installed; install edgeclient[redis]"
        raise SettingError([f"cache.redis_url: {problem}"]) from None
    settings = config.cache
    if settings.redis_ca_file:
        check_readable("cache.redis_ca_file", settings.redis_ca_file)
    link = RedisLink(
        settings.redis_url,
        user=settings.redis_user,
        password=redis_password(settings.redis_password_file, environ),
        ca_file=settings.redis_ca_file,
        prefix=settings.redis_prefix,
    )
    seal = _seal(settings.redis_key_file, "cache.redis_key_file", "cache in Redis", clock)
    store = RedisStore(link, settings, seal=seal, clock=clock, observe=observe)
    parts.stores.append(("redis", store))
    parts.background["Redis"] = store.run
    parts.closes.append(store.close)


def _seal(key_file: str, setting: str, purpose: str, clock: Clock) -> Seal:
    if not key_file:
        return Checksum()
    from edgeclient.cache.cipher import Cipher  # noqa: PLC0415  see the module

    return Cipher(node_key(Path(key_file), setting=setting), purpose=purpose, wall_s=clock.wall_s)
