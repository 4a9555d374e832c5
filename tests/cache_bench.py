"""Things of the cache for tests: keys, answers, and stores on a bench."""

import hashlib
from typing import Any

from edgeclient.config.cache_schema import CacheConfig
from edgeclient.core.cache import Cached, CacheKey
from edgeclient.v1 import chat_pb2

NODE_KEY = hashlib.sha256(b"the node key of the tests").digest()


def cache_config(**settings: Any) -> CacheConfig:
    """The section `cache`; ages are round numbers."""
    return CacheConfig(**({"ttl_s": 100.0, "stale_s": 900.0} | settings))


def cache_key(content: str = "hi", *, caller: str = "device-7") -> CacheKey:
    """The key of a content, private to a caller."""
    return CacheKey(digest=hashlib.sha256(f"{caller}\n{content}".encode()).digest(), caller=caller)


def answer(content: str = "yes", **fields: Any) -> chat_pb2.ChatResponse:
    """A whole good answer of the provider."""
    facts: dict[str, Any] = {
        "message": chat_pb2.Message(role=chat_pb2.ROLE_ASSISTANT, content=content),
        "finish_reason": chat_pb2.FINISH_REASON_STOP,
        "usage": chat_pb2.Usage(
            prompt_tokens=9, completion_tokens=7, total_tokens=16, cost_nanos=5, currency_code="CNY"
        ),
        "model": "qwen-plus",
        "source": chat_pb2.RESPONSE_SOURCE_UPSTREAM,
        "target": "dashscope",
        "attempt_count": 1,
        "upstream_id": "chatcmpl-1",
    }
    return chat_pb2.ChatResponse(**(facts | fields))


def body(content: str = "yes") -> bytes:
    """An answer as the stores are given it."""
    return answer(content).SerializeToString()


def content(found: Cached | None) -> str | None:
    """The text of what was found."""
    return found.response.message.content if found is not None else None
