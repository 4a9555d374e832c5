"""The stage: an answer that was given before is given again, where that is wanted and honest.

Which requests may is decided in `policy/cache_rules.py`, what makes two the same in `policy/cache_key.py`. Nothing is
shared between callers unless the operator says so: the caller is part of the key, so that another one's look-up cannot
even tell whether there is an entry. Kept are whole good answers only: one that was cut by a limit or for its content,
or has failed, is none, and neither is one of a model or a target that stood in for another: it would outlast the
reason.

A caller that prefers an outdated answer to none (`OFFLINE_POLICY_STALE`) gets it if the provider certainly has not
worked on the call and nothing has reached the caller. After an attempt that may have been billed the truth is told
instead.

Stored jobs pass here as live calls do, before it is their turn at the provider. Those that go out in batches are
answered days after they were asked, so they look (`look`) and keep (`keep`) without passing.
"""

import hashlib
from collections.abc import Collection

from edgeclient.config.cache_schema import CacheConfig
from edgeclient.core.cache import Cached, CacheKey, ResponseCache
from edgeclient.core.cache_events import AnswerKept, CacheMissed
from edgeclient.core.call import Call, Handler, Reply
from edgeclient.core.errors import Reason, Rejected, Unavailable
from edgeclient.core.ports import Observe
from edgeclient.policy.cache_key import content_key
from edgeclient.policy.cache_rules import CacheDefault, CachePlan, cache_plan, fresh_s, is_whole
from edgeclient.stages.delivery import deliver, reused
from edgeclient.v1 import chat_pb2

_FROM_PROVIDER = frozenset({chat_pb2.RESPONSE_SOURCE_UPSTREAM, chat_pb2.RESPONSE_SOURCE_COALESCED})


class Cache:
    """A stage; see the module.

    Args:
        cache: Keeps answers; None: this node has none.
        config: What calls get that do not say.
        realm: Who answers here, such as the endpoint: what another one answered is not given.
        observe: Takes events.
        stand_ins: Names of the targets that answer only while others cannot.
    """

    def __init__(
        self,
        cache: ResponseCache | None,
        config: CacheConfig,
        *,
        realm: str,
        observe: Observe,
        stand_ins: Collection[str] = (),
    ) -> None:
        self._cache = cache
        self._config = config
        self._default = CacheDefault(config.default_policy)
        self._realm = hashlib.sha256(realm.encode()).digest()
        self._observe = observe
        self._stand_ins = frozenset(stand_ins)

    async def __call__(self, call: Call, forward: Handler) -> Reply:
        """Answer the call from the cache, or pass it on and keep the answer."""
        plan = self._plan(call)
        if self._cache is None or not plan.needs_key:
            return await forward(call)
        key, asked = self._key(call), call.model
        kept = await self._kept(self._cache, call, plan, key)
        if kept is not None:
            return kept
        try:
            reply = await forward(call)
        except Unavailable as error:
            outdated = await self._outdated(self._cache, call, plan, key, error)
            if outdated is None:
                raise
            return await self._give(call, outdated, self._source(outdated))
        if call.model == asked and reply.response.target not in self._stand_ins:
            self._keep(self._cache, call, key, reply.response)  # whoever gets here writes: ONLY alone does not
        return reply

    async def look(self, call: Call) -> Reply | None:
        """The answer that is kept and fresh; None: there is none, and the provider may be asked.

        Raises:
            Rejected: There is none, and nothing else is wanted.
        """
        plan = self._plan(call)
        if self._cache is None or not plan.read:
            return None
        return await self._kept(self._cache, call, plan, self._key(call))

    def keep(self, call: Call, response: chat_pb2.ChatResponse) -> None:
        """Keep an answer of the provider that did not come through here, if its request permits that."""
        if self._cache is not None and self._plan(call).write:
            self._keep(self._cache, call, self._key(call), response)

    def _plan(self, call: Call) -> CachePlan:
        plan = cache_plan(call.request, default=self._default, stored=call.background)
        if plan.only and self._cache is None:
            raise _nothing_fresh("this node has no cache")
        return plan

    async def _kept(self, cache: ResponseCache, call: Call, plan: CachePlan, key: CacheKey) -> Reply | None:
        found = await self._found(cache, call, plan, key)
        if found is not None:
            return await self._give(call, found, chat_pb2.RESPONSE_SOURCE_CACHE)
        if plan.only:
            raise _nothing_fresh("the cache has no answer to this request that is fresh enough")
        return None

    def _key(self, call: Call) -> CacheKey:
        if call.model is None:
            raise RuntimeError("the validation stage sets the model of every call")
        partition = "" if self._config.shared else call.caller
        digest = content_key(call.request, call.model, realm=self._realm, partition=partition)
        return CacheKey(digest=digest, caller=call.caller)

    async def _found(self, cache: ResponseCache, call: Call, plan: CachePlan, key: CacheKey) -> Cached | None:
        """A fresh answer."""
        if not plan.read:
            return None
        limit_s = fresh_s(call.request, ttl_s=self._config.ttl_s)
        found = cache.look(key)
        if found is None or not found.is_within(limit_s):
            found = await cache.find(key, fresh_s=limit_s) or found
        if found is not None and found.is_within(limit_s):
            return found
        self._observe(CacheMissed(call_id=call.id, why="absent" if found is None else "outdated"))
        return None

    async def _outdated(
        self, cache: ResponseCache, call: Call, plan: CachePlan, key: CacheKey, error: Unavailable
    ) -> Cached | None:
        """What may be given although it is old."""
        if not plan.stale or call.committed or error.possibly_billed:
            return None
        return cache.look(key) or await cache.find(key, fresh_s=self._config.ttl_s)

    def _source(self, found: Cached) -> chat_pb2.ResponseSource.ValueType:
        fresh = found.is_within(self._config.ttl_s)
        return chat_pb2.RESPONSE_SOURCE_CACHE if fresh else chat_pb2.RESPONSE_SOURCE_STALE_CACHE

    async def _give(self, call: Call, found: Cached, source: chat_pb2.ResponseSource.ValueType) -> Reply:
        response = found.response
        response.source = source
        call.cache_age_s = found.age_s
        if found.age_s is not None:
            response.cache_age.FromNanoseconds(int(found.age_s * 1e9))
        name = "cache" if source == chat_pb2.RESPONSE_SOURCE_CACHE else "stale_cache"
        self._observe(reused(call, response, source=name, store=found.store))
        return await deliver(call, response)

    def _keep(self, cache: ResponseCache, call: Call, key: CacheKey, response: chat_pb2.ChatResponse) -> None:
        if response.source not in _FROM_PROVIDER or response.job_id:
            return
        size_bytes = response.ByteSize()
        if not is_whole(response):
            outcome = "unfinished"
        elif response.source == chat_pb2.RESPONSE_SOURCE_COALESCED and cache.look(key) is not None:
            return  # who led the shared call has kept it
        else:
            outcome = "kept" if cache.keep(key, response) else "too_large"
        self._observe(AnswerKept(call_id=call.id, outcome=outcome, size_bytes=size_bytes))


def _nothing_fresh(why: str) -> Rejected:
    return Rejected(
        Reason.ERROR_REASON_CACHE_MISS,
        f"cache_policy: {why}; choose another policy to ask the provider",
    )
