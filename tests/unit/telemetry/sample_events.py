"""Events that are valid by default, of every type there is."""

from dataclasses import fields
from typing import Any, TypeVar, cast

from edgeclient.core import (
    cache_events,
    dispatch_events,
    events,
    half_price_events,
    job_events,
    node_events,
    quota_events,
    route_events,
)
from edgeclient.core.events import CallFinished, Event, Uplink
from edgeclient.core.route_events import Breaker

E = TypeVar("E", bound=Event)

EVENT_TYPES: list[type[Event]] = [
    kind
    for module in (
        cache_events,
        dispatch_events,
        events,
        half_price_events,
        job_events,
        node_events,
        quota_events,
        route_events,
    )
    for kind in vars(module).values()
    if isinstance(kind, type) and issubclass(kind, Event) and kind.__module__ == module.__name__ and kind is not Event
]


_BY_TYPE: dict[Any, Any] = {
    str: "text",
    int: 1,
    float: 1.5,
    bool: True,
    float | None: 0.5,
    Uplink: Uplink.OFFLINE,
    Breaker: Breaker.OPEN,
}


def field_names(kind: type[Event]) -> list[str]:
    """Names of the fields of this type of event."""
    return [field.name for field in fields(cast("Any", kind))]


def sample(kind: type[E], **over: Any) -> E:
    """An event of this type in which every field has some value."""
    return kind(**({field.name: _BY_TYPE[field.type] for field in fields(cast("Any", kind))} | over))


def answered(**over: Any) -> CallFinished:
    """A streamed chat that was answered."""
    values: dict[str, Any] = {
        "call_id": "01CALL",
        "caller": "device-7",
        "method": "StreamChat",
        "model": "qwen-plus",
        "target": "dashscope",
        "reason": "",
        "code": "OK",
        "finish_reason": "stop",
        "source": "upstream",
        "attempt_count": 1,
        "duration_s": 2.5,
        "upstream_s": 2.25,
        "first_piece_s": 0.5,
        "prompt_tokens": 100,
        "completion_tokens": 40,
        "cached_tokens": 64,
        "reasoning_tokens": 16,
        "cost_nanos": 1_500_000,
        "currency_code": "CNY",
        "possibly_billed": False,
        "message": "",
        "upstream_request_id": "req-1",
    }
    return CallFinished(**values | over)


def failed(reason: str, **over: Any) -> CallFinished:
    """A chat that failed without an answer."""
    nothing = {"finish_reason": "", "source": "", "first_piece_s": None, "cost_nanos": 0, "currency_code": ""}
    tokens = dict.fromkeys(("prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens"), 0)
    facts = {"reason": reason, "code": "UNAVAILABLE", "message": f"It failed with {reason}"}
    return answered(**nothing | tokens | facts | over)
