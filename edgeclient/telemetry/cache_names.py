"""Names of the metrics of the cache and of shared calls; the others, and the rules for all, are in `names.py`."""

from typing import Final

from edgeclient.telemetry.names import Spec

LOOK_UP_SECONDS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 1.0)

REUSED: Final = Spec(
    name="edgeclient_answers_reused",
    help="Chats that were answered without an upstream request of their own, and where the answer was kept.",
    labels=("source", "store"),
)
SAVED_TOKENS: Final = Spec(
    name="edgeclient_saved_tokens",
    help="Tokens that the originals of reused answers have cost and the reuse has not.",
    labels=("source", "type"),
)
SAVED_COST: Final = Spec(
    name="edgeclient_saved_cost",
    help="Price of the originals of reused answers in units of the currency, for models with a known price.",
    labels=("source", "currency"),
)
MISSES: Final = Spec(
    name="edgeclient_cache_misses", help="Chats that might have been answered from the cache.", labels=("reason",)
)
ANSWERS: Final = Spec(
    name="edgeclient_cache_answers",
    help="Answers that the cache was to keep, by what became of it.",
    labels=("outcome",),
)
EVICTIONS: Final = Spec(
    name="edgeclient_cache_evictions",
    help="Answers that were removed from the cache, for room or for age.",
    labels=("store", "cause"),
)
WRITES_DROPPED: Final = Spec(
    name="edgeclient_cache_writes_dropped",
    help="Times that answers were not written to a store of the cache; no chat is affected.",
    labels=("store", "reason"),
)
LOOK_UPS: Final = Spec(
    name="edgeclient_cache_lookup_duration_seconds",
    help="Time that a chat waited for a store outside of the process, by what it found.",
    labels=("store", "outcome"),
    buckets=LOOK_UP_SECONDS,
)
STORE_FAILURES: Final = Spec(
    name="edgeclient_cache_store_failures",
    help="Times that a store of the cache was lost, took no writes, or was thrown away for damage.",
    labels=("store", "kind"),
)
PASSED_ON: Final = Spec(
    name="edgeclient_shared_calls_passed_on",
    help="Shared calls that ended for a reason of who led them and were begun anew by another one.",
)
ENTRIES: Final = Spec(name="edgeclient_cache_entries", help="Answers in a store of this node.", labels=("store",))
BYTES: Final = Spec(name="edgeclient_cache_bytes", help="Room that they take.", labels=("store",))
USABLE: Final = Spec(
    name="edgeclient_cache_store_usable", help="1 while a store of the cache can be used.", labels=("store",)
)
