"""The drainer on the real queue, in real time: a provider of many moods, and what is left in the end."""

import asyncio
from collections import Counter, defaultdict
from pathlib import Path
from random import Random

import builders
from drainer_bench import begins

from edgeclient.config.spool_schema import SpoolConfig
from edgeclient.core.call import Call, Reply
from edgeclient.core.companion import companion
from edgeclient.core.errors import Reason, Rejected, Throttled, Unavailable, Uncertain
from edgeclient.core.events import DefectFound, Event, Uplink
from edgeclient.core.job_events import JobFinished
from edgeclient.core.jobs import TERMINAL, JobKind, JobState, NewJob
from edgeclient.core.spool import content_digest
from edgeclient.runtime import SystemClock
from edgeclient.spool.drainer import Drainer
from edgeclient.spool.sealing import PlainVault
from edgeclient.spool.spool import SqliteSpool
from edgeclient.v1 import chat_pb2

JOB_COUNT = 120


class Moody:
    """Bills what it answers and what it loses; each request fails once in some way or is answered."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self.billed: Counter[str] = Counter()
        self.answered: list[str] = []

    async def __call__(self, call: Call) -> Reply:
        await begins(call)
        call.attempt_count += 1
        mood = self._rng.random()
        if mood < 0.05:
            raise Throttled(Reason.ERROR_REASON_UPSTREAM_RATE_LIMITED, "slow", retry_after_s=0.001)
        if mood < 0.1:
            raise Unavailable(Reason.ERROR_REASON_UPSTREAM_UNAVAILABLE, "down")
        if mood < 0.15:
            raise Rejected(Reason.ERROR_REASON_CONTENT_BLOCKED, "no")
        self.billed[call.id] += 1
        if mood < 0.2:
            raise Uncertain(Reason.ERROR_REASON_UPSTREAM_INTERRUPTED, "cut")
        self.answered.append(call.id)
        return Reply(response=chat_pb2.ChatResponse(message=chat_pb2.Message(content=call.request.prompt)))


async def test_every_job_ends_once_in_order_and_is_billed_at_most_once(tmp_path: Path) -> None:
    config = SpoolConfig(
        directory=str(tmp_path),
        max_caller_share=1.0,
        resume_spread_s=0.0,
        retry_initial_s=0.01,
        retry_max_s=0.01,
        max_attempts=100,
        disk_floor_bytes=0,
    )
    events: list[Event] = []
    ended = asyncio.Event()

    def observe(event: Event) -> None:
        events.append(event)
        if sum(isinstance(each, JobFinished) for each in events) == JOB_COUNT:
            ended.set()

    rng = Random(7)
    provider = Moody(rng)
    spool = SqliteSpool(config, vault=PlainVault(), observe=observe)
    await spool.open()
    drainer = Drainer(
        spool,
        send=provider,
        admit=lambda _: None,
        uplink=lambda: Uplink.ONLINE,
        rebooted=lambda: spool.rebooted,
        config=config,
        observe=observe,
        clock=SystemClock(),
        rng=rng,
    )
    conversations: defaultdict[str, list[str]] = defaultdict(list)
    async with companion(drainer.run(), name="drainer"), asyncio.timeout(60):
        for place in range(JOB_COUNT):
            job_id, conversation_id = f"job-{place:03}", f"c{place % 10}"
            conversations[conversation_id].append(job_id)
            request = builders.chat_request(prompt=job_id)
            await spool.accept(
                NewJob(
                    id=job_id,
                    caller="device-7",
                    kind=JobKind.JOB,
                    request=request,
                    digest=content_digest(request),
                    conversation_id=conversation_id,
                )
            )
        await ended.wait()
        drainer.stop()
        assert await drainer.drained(5.0)

    stats = spool.stats()
    assert JOB_COUNT == stats.accepted_total == sum(stats.by_state.values())
    assert {state for state, count in stats.by_state.items() if count} <= TERMINAL | {JobState.UNCERTAIN}
    assert {1} == set(provider.billed.values())
    assert stats.by_state[JobState.SUCCEEDED] == len(provider.answered) > JOB_COUNT // 2
    for job_ids in conversations.values():
        answered = [job_id for job_id in provider.answered if job_id in job_ids]
        assert sorted(answered) == answered
    assert not [event for event in events if isinstance(event, DefectFound)]
    await spool.close()
