"""What the contract offers and a node without a durable queue cannot do.

A request that relies on it is refused: a device that believes its request is stored, or safe to repeat, must not learn
otherwise after a power cut. `OFFLINE_POLICY_STALE` and the cache policies that merely permit a hit are true as they
stand: without a cache there never is one. `CACHE_POLICY_ONLY` is answered with a cache miss by the cache's stage, and
where there is none, by this one.
"""

from collections.abc import Mapping
from typing import Any

from edgeclient.stages.validate.findings import Findings
from edgeclient.v1 import chat_pb2

UNSUPPORTED: Mapping[str, Mapping[int | None, str]] = {
    "idempotency_key": {
        None: "this node keeps no record of keys; leave it empty and count on a repeat being billed again",
    },
    "offline_policy": {
        chat_pb2.OFFLINE_POLICY_QUEUE: "this node has no durable queue; set OFFLINE_POLICY_FAIL and keep the request",
    },
}
"""Field → value → sentence; None stands for every value."""


def check_promises(present: Mapping[str, Any], found: Findings, *, durable: bool) -> None:
    """Refuse what cannot be kept; `durable`: the node has a queue, and everything can."""
    if durable or UNSUPPORTED.keys().isdisjoint(present):
        return
    for name, sentences in UNSUPPORTED.items():
        sentence = sentences.get(present.get(name), sentences.get(None)) if name in present else None
        if sentence:
            found.add(name, sentence)
