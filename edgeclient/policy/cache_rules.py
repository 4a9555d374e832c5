"""When an answer may be given twice: what the caller asked for, and what is honest where it left it open.

A sampled answer is one of many; whoever asks twice may want two of them. So without being asked only such requests
share an answer that ask for the same one each time: temperature 0 or a seed, and nothing outside of the request that
may change meanwhile, which a picture behind a URL may, and what a web search finds. Functions of the caller do not
count: the model only asks for their call, and the caller runs them itself, each time.

`CACHE_POLICY_USE` given in the request asks for sharing whatever the sampling; REFRESH and BYPASS forbid it. A caller
that wants outdated answers in an outage (`OFFLINE_POLICY_STALE`) wants its answers kept for that. A stored job has no
offline policy: it waits for the way, and is not given what is outdated.
"""

import json
from dataclasses import dataclass
from enum import Enum

from edgeclient.v1 import chat_pb2

_REACHES_OUT = frozenset({"enable_search", "search_options", "enable_code_interpreter"})
_WHOLE = frozenset({chat_pb2.FINISH_REASON_STOP, chat_pb2.FINISH_REASON_TOOL_CALLS})


class CacheDefault(Enum):
    """What CACHE_POLICY_UNSPECIFIED means on a node."""

    BYPASS = "bypass"
    REPRODUCIBLE = "reproducible"
    USE = "use"


@dataclass(frozen=True, slots=True, kw_only=True)
class CachePlan:
    """What a request may do with the cache.

    Attributes:
        read: Be answered by what is fresh.
        write: Have its answer kept.
        only: Nothing but the cache may answer it.
        stale: Be answered by what is outdated if the provider cannot be reached.
    """

    read: bool = False
    write: bool = False
    only: bool = False
    stale: bool = False

    @property
    def needs_key(self) -> bool:
        """Anything at all."""
        return self.read or self.write or self.stale


_PLANS = {
    chat_pb2.CACHE_POLICY_USE: CachePlan(read=True, write=True),
    chat_pb2.CACHE_POLICY_REFRESH: CachePlan(write=True),
    chat_pb2.CACHE_POLICY_BYPASS: CachePlan(),
    chat_pb2.CACHE_POLICY_ONLY: CachePlan(read=True, only=True),
}
_FINAL = frozenset({chat_pb2.CACHE_POLICY_BYPASS, chat_pb2.CACHE_POLICY_ONLY})


def cache_plan(request: chat_pb2.ChatRequest, *, default: CacheDefault, stored: bool = False) -> CachePlan:
    """What the request may do with the cache of a node whose default is this; stored: it is that of a job."""
    plan = _PLANS.get(request.cache_policy)
    if plan is None:
        use = default is CacheDefault.USE or (default is CacheDefault.REPRODUCIBLE and is_reproducible(request))
        plan = CachePlan(read=use, write=use)
    wants_stale = request.offline_policy == chat_pb2.OFFLINE_POLICY_STALE and not stored
    if wants_stale and request.cache_policy not in _FINAL:
        return CachePlan(read=plan.read, write=True, stale=True)
    return plan


def may_be_shared(request: chat_pb2.ChatRequest) -> bool:
    """One upstream request may answer this request and others with the same content that run at the same time.

    A stream that may begin anew is alone: others have not asked for that.
    """
    if request.restart_stream:
        return False
    if request.cache_policy == chat_pb2.CACHE_POLICY_UNSPECIFIED:
        return is_reproducible(request)
    return request.cache_policy == chat_pb2.CACHE_POLICY_USE


def is_reproducible(request: chat_pb2.ChatRequest) -> bool:
    """The request asks for the same answer each time, as far as the provider can keep that."""
    fixed = request.HasField("seed") or (request.HasField("temperature") and request.temperature == 0)
    return fixed and not _points_elsewhere(request) and not _reaches_out(request.extra_json)


def is_whole(response: chat_pb2.ChatResponse) -> bool:
    """A good answer from its beginning to its natural end, which somebody else may be given as well."""
    message = response.message
    return response.finish_reason in _WHOLE and bool(message.content or message.tool_calls) and not response.job_id


def fresh_s(request: chat_pb2.ChatRequest, *, ttl_s: float) -> float:
    """Age up to which an answer is fresh for this request; the caller may accept more or less than the node's."""
    if not request.HasField("max_cache_age"):
        return ttl_s
    return float(request.max_cache_age.seconds + request.max_cache_age.nanos / 1e9)


def _points_elsewhere(request: chat_pb2.ChatRequest) -> bool:
    for message in request.messages:
        for part in message.parts:
            kind = part.WhichOneof("part")
            if kind not in (None, "text") and getattr(part, kind).url:
                return True
    return False


def _reaches_out(extra_json: str) -> bool:
    if not extra_json:
        return False
    try:
        extra = json.loads(extra_json)
    except ValueError:
        return True
    return not isinstance(extra, dict) or any(extra.get(name) for name in _REACHES_OUT)
