"""The change feed: every committed change, and for a slow reader the newest of each job only."""

import asyncio
from collections.abc import Iterable
from weakref import WeakSet

from edgeclient.core.jobs import Job


class ChangeFeed:
    """One reader's view. Holds each job at most once, so it is never larger than the queue."""

    def __init__(self) -> None:
        self._newest: dict[str, Job] = {}
        self._arrived = asyncio.Event()
        self._closed = False

    def __aiter__(self) -> "ChangeFeed":
        return self

    async def __anext__(self) -> Job:
        while not self._newest:
            if self._closed:
                raise StopAsyncIteration
            self._arrived.clear()
            await self._arrived.wait()
        return self._newest.pop(next(iter(self._newest)))

    def offer(self, jobs: Iterable[Job]) -> None:
        """Changes that were committed, in their order."""
        for job in jobs:
            self._newest.pop(job.id, None)  # to the end: what changed last comes last
            self._newest[job.id] = job
        self._arrived.set()

    def close(self) -> None:
        """No more changes: what is left is still read."""
        self._closed = True
        self._arrived.set()


class Changes:
    """All readers. One that is dropped is forgotten."""

    def __init__(self) -> None:
        self._feeds: WeakSet[ChangeFeed] = WeakSet()

    def open(self) -> ChangeFeed:
        """A new reader, from now on."""
        feed = ChangeFeed()
        self._feeds.add(feed)
        return feed

    def publish(self, jobs: list[Job]) -> None:
        """To all."""
        if jobs:
            for feed in self._feeds:
                feed.offer(jobs)

    def close(self) -> None:
        """The end of the feed, for all."""
        for feed in self._feeds:
            feed.close()
