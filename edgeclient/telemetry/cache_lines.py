"""The rows of the log for the cache, shared calls and prepared answers; the rule for all is in `lines.py`."""

from typing import Final

from edgeclient.core.cache_events import (
    AnswerKept,
    AnswerReused,
    CacheEvicted,
    CacheFileDiscarded,
    CacheLookedUp,
    CacheMissed,
    CacheStoreBack,
    CacheStoreLost,
    CacheWriteDropped,
    CacheWritesRefused,
    PreparedChanged,
    PreparedUnusable,
    SharedCallPassedOn,
)
from edgeclient.core.events import Event
from edgeclient.telemetry.line import Choice, Line

CACHE_LINES: Final[dict[type[Event], Line | Choice | None]] = {
    AnswerReused: None,  # traffic, like all but changes
    CacheMissed: None,
    AnswerKept: None,
    CacheEvicted: None,
    CacheWriteDropped: None,
    CacheLookedUp: None,
    CacheStoreLost: Line(
        level="warning",
        word="cache_store_lost",
        sentence="The cache goes on without {store}, calls are not affected: {problem}",
        once_per=("store", "problem"),
    ),
    CacheStoreBack: Line(
        level="info", word="cache_store_back", sentence="The cache uses {store} again after {duration_s:.0f} s"
    ),
    CacheWritesRefused: Line(
        level="warning",
        word="cache_writes_refused",
        sentence="The cache reads from {store} and writes nothing there for now: {problem}",
        once_per=("store", "problem"),
    ),
    CacheFileDiscarded: Line(
        level="warning",
        word="cache_file_discarded",
        sentence="The file of the cache was thrown away and begun anew: {problem} ({path})",
    ),
    SharedCallPassedOn: Line(
        level="debug",
        word="shared_call_passed_on",
        sentence="Another caller leads a shared call, the one before ended with {reason}",
    ),
    PreparedChanged: Line(
        level="info",
        word="prepared_changed",
        sentence="Took {pinned_count} pinned answers and {template_count} templates from {path}",
    ),
    PreparedUnusable: Line(
        level="error",
        word="prepared_unusable",
        sentence="The prepared answers in {path} cannot be used, the last good ones stay in use: {problem}",
    ),
}
