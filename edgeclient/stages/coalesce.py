"""The stage: calls of the same content that run at the same time are one upstream request.

Where that is honest is decided in `policy/cache_rules.py`, what is the same content in `policy/cache_key.py`, and who
may join whom in `policy/sharing.py`. It stands below the offline policies, because what becomes of a call in an outage
is each caller's own wish (one waits, another is queued under an id of its own), and above the attempts, because those
are what is saved.

Leaving is free for all: the work goes on as long as one of them waits, and ends with the last. There is one such work
per content at a time, a higher priority apart, which does not queue up behind a lower one. An answer can be joined
until the first of them has left with it: from then on it is in the cache, and in between it would be nowhere.
"""

import hashlib

from edgeclient.config.cache_schema import CacheConfig
from edgeclient.core.cache_events import SharedCallPassedOn
from edgeclient.core.call import Call, Handler, Reply
from edgeclient.core.ports import Clock, Observe
from edgeclient.policy.cache_key import content_key
from edgeclient.policy.cache_rules import may_be_shared
from edgeclient.policy.sharing import may_join
from edgeclient.stages.delivery import reused
from edgeclient.stages.shared_call import NotSharedError, SharedCall


class Coalesce:
    """A stage; see the module.

    Args:
        config: Whether to, and whether across callers.
        realm: Who answers here; see `Cache`.
        clock: Measures the time of each caller.
        observe: Takes events.
    """

    def __init__(self, config: CacheConfig, *, realm: str, clock: Clock, observe: Observe) -> None:
        self._config = config
        self._realm = hashlib.sha256(realm.encode()).digest()
        self._clock = clock
        self._observe = observe
        self._running: dict[bytes, SharedCall] = {}

    async def __call__(self, call: Call, forward: Handler) -> Reply:
        """Answer the call, by an upstream request of its own or by one that it shares."""
        if not self._config.coalesce or not may_be_shared(call.request):
            return await forward(call)
        key = self._key(call)
        passed_on: NotSharedError | None = None
        while True:
            shared = self._running.get(key)
            if shared is not None and shared.flight.abandoned:
                await shared.flight.over()
                continue
            if shared is None or not may_join(call.request, shared.flight.call.request, sent=shared.sent):
                if passed_on is not None:
                    self._observe(SharedCallPassedOn(call_id=call.id, reason=passed_on.cause.reason_name))
                shared = self._begin(key, call, forward)
            try:
                reply = await shared.take_part(call)
            except NotSharedError as error:
                if call.deadline.has_passed(self._clock.monotonic_s()):
                    raise error.cause from None
                passed_on = error
                continue
            finally:
                if shared.flight.answered:
                    self._forget(key, shared)
            if call.shared:
                self._observe(reused(call, reply.response, source="coalesced"))
            return reply

    def _key(self, call: Call) -> bytes:
        if call.model is None:
            raise RuntimeError("the validation stage sets the model of every call")
        partition = "" if self._config.shared else call.caller
        return content_key(call.request, call.model, realm=self._realm, partition=partition)

    def _begin(self, key: bytes, call: Call, forward: Handler) -> SharedCall:
        shared = self._running[key] = SharedCall(call, digest=key, clock=self._clock)

        async def work() -> Reply:
            with shared.flight.cancellable():
                return await forward(shared.flight.call)

        def over() -> None:
            if not shared.flight.answered:
                self._forget(key, shared)
            shared.look()

        shared.flight.begin(work(), name=f"shared call {call.id}", over=over)
        return shared

    def _forget(self, key: bytes, shared: SharedCall) -> None:
        """Nobody joins it any more."""
        if self._running.get(key) is shared:
            del self._running[key]
