"""The cache against a dictionary with a clock: what a call is answered by is known in advance, every time."""

import asyncio
from typing import Any

import builders
from cache_bench import answer, cache_config
from fakes.clock import FakeClock
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from edgeclient.cache.memory import MemoryStore
from edgeclient.cache.tiers import TieredCache
from edgeclient.core.call import Call, Reply
from edgeclient.core.errors import CallError, Reason, Unavailable
from edgeclient.stages.cache import Cache
from edgeclient.v1 import chat_pb2

TTL_S, KEEP_S = 100.0, 1000.0  # see cache_config
POLICIES = ("UNSPECIFIED", "USE", "REFRESH", "BYPASS", "ONLY")
ENDINGS = {"whole": chat_pb2.FINISH_REASON_STOP, "cut": chat_pb2.FINISH_REASON_LENGTH}


class CacheMachine(RuleBasedStateMachine):
    @initialize(shared=st.booleans())
    def begin(self, shared: bool) -> None:  # noqa: FBT001  drawn as a value
        self.clock = FakeClock()
        config = cache_config(shared=shared)
        self.cache = TieredCache(MemoryStore(config, clock=self.clock, observe=lambda _: None), [], config)
        self.stage = Cache(self.cache, config, realm="r", observe=lambda _: None)
        self.shared = shared
        self.model: dict[tuple[str, str], tuple[str, float, str]] = {}
        self.count = 0

    @rule(duration_s=st.sampled_from([1.0, 60.0, 150.0, 900.0]))
    def pass_by(self, duration_s: float) -> None:
        self.clock.advance(duration_s)

    @rule(caller=st.sampled_from("xy"))
    def forget(self, caller: str) -> None:
        asyncio.run(self.cache.forget(caller))
        self.model = {key: kept for key, kept in self.model.items() if kept[2] != caller}

    @rule(
        wish=st.fixed_dictionaries(
            {
                "policy": st.sampled_from(POLICIES),
                "fixed": st.booleans(),
                "stale": st.booleans(),
                "accepts_s": st.sampled_from([None, 0, 70, 500]),
            }
        ),
        prompt=st.sampled_from("ab"),
        caller=st.sampled_from("xy"),
        provider=st.sampled_from(["whole", "cut", "down"]),
    )
    def ask(self, wish: dict[str, Any], prompt: str, caller: str, provider: str) -> None:
        request = builders.chat_request(
            prompt=prompt,
            cache_policy=chat_pb2.CachePolicy.Value(f"CACHE_POLICY_{wish['policy']}"),
            offline_policy=chat_pb2.OFFLINE_POLICY_STALE if wish["stale"] else chat_pb2.OFFLINE_POLICY_FAIL,
        )
        if wish["fixed"]:
            request.temperature = 0.0
        if wish["accepts_s"] is not None:
            request.max_cache_age.seconds = wish["accepts_s"]
        self.count += 1
        expected = self._expected(request, caller, provider)

        assert expected == asyncio.run(self._outcome(request, caller, provider))

    def _expected(self, request: chat_pb2.ChatRequest, caller: str, provider: str) -> tuple[str, str]:
        """Source and text, or the reason of the failure; the model remembers what is kept."""
        policy = chat_pb2.CachePolicy.Name(request.cache_policy).removeprefix("CACHE_POLICY_")
        if policy == "UNSPECIFIED":
            policy = "USE" if request.HasField("temperature") else "NONE"
        stale = request.offline_policy == chat_pb2.OFFLINE_POLICY_STALE and policy not in ("BYPASS", "ONLY")
        key = (f"{request.prompt}{request.HasField('temperature')}", "" if self.shared else caller)
        text, born_s, _ = self.model.get(key, ("", -1e9, ""))
        age_s = self.clock.monotonic_s() - born_s
        limit_s = request.max_cache_age.seconds if request.HasField("max_cache_age") else TTL_S
        if policy in ("USE", "ONLY") and age_s <= min(limit_s, KEEP_S):
            return "CACHE", text
        if policy == "ONLY":
            return "CACHE_MISS", ""
        if provider == "down":
            if stale and age_s <= KEEP_S:
                return ("CACHE" if age_s <= TTL_S else "STALE_CACHE"), text
            return "UPLINK_OFFLINE", ""
        if provider == "whole" and (policy in ("USE", "REFRESH") or stale):
            self.model[key] = (f"answer {self.count}", self.clock.monotonic_s(), caller)
        return "UPSTREAM", f"answer {self.count}"

    async def _outcome(self, request: chat_pb2.ChatRequest, caller: str, provider: str) -> tuple[str, str]:
        async def ask(_call: Call) -> Reply:
            if provider == "down":
                raise Unavailable(Reason.ERROR_REASON_UPLINK_OFFLINE, "offline")
            return Reply(response=answer(f"answer {self.count}", finish_reason=ENDINGS[provider]))

        try:
            reply = await self.stage(builders.call(request=request, caller=caller), ask)
        except CallError as error:
            return error.reason_name, ""
        source = chat_pb2.ResponseSource.Name(reply.response.source).removeprefix("RESPONSE_SOURCE_")
        return source, reply.response.message.content


CacheMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestCache = CacheMachine.TestCase
