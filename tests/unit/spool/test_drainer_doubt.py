"""An outcome of which the storage cannot say whether it took it is given to it again, and paid for once."""

import pytest
from drainer_bench import Bench, quiet

from edgeclient.core.errors import Reason, Unavailable
from edgeclient.core.jobs import Attempt, JobState
from edgeclient.spool.lane import STORAGE_PAUSE_S
from edgeclient.v1 import chat_pb2

DOUBT = Unavailable(Reason.ERROR_REASON_STORAGE_OUTCOME_UNKNOWN, "who knows")


@pytest.mark.parametrize("happened", [True, False])
async def test_answer_in_doubt_is_stored_and_its_request_sent_once(*, happened: bool) -> None:
    bench = Bench()
    succeed, doubts = bench.spool.succeed, [DOUBT]

    async def in_doubt(attempt: Attempt, response: chat_pb2.ChatResponse) -> bool:
        if doubts:
            if happened:
                await succeed(attempt, response)
            raise doubts.pop()
        return await succeed(attempt, response)

    bench.spool.succeed = in_doubt  # type: ignore[method-assign]  # only here
    async with bench.running():
        await bench.accept()
        await quiet()
        bench.clock.advance(STORAGE_PAUSE_S)
        job = await bench.reaches(JobState.SUCCEEDED)

    assert job.response is not None
    assert ["job-1"] == bench.provider.asked


@pytest.mark.parametrize("happened", [True, False])
async def test_intent_in_doubt_is_not_sent_before_it_is_certain(*, happened: bool) -> None:
    bench = Bench()
    begin, doubts = bench.spool.begin, [DOUBT]

    async def in_doubt(job_id: str) -> Attempt | None:
        if doubts:
            if happened:  # and is undone when the storage is opened again
                attempt = await begin(job_id)
                assert attempt is not None
                await bench.spool.fail(attempt, DOUBT, retry_in_s=0.0, counts=False)
            raise doubts.pop()
        return await begin(job_id)

    bench.spool.begin = in_doubt  # type: ignore[method-assign]  # only here
    async with bench.running():
        await bench.accept()
        await quiet()
        assert [] == bench.provider.asked
        bench.clock.advance(STORAGE_PAUSE_S)
        await bench.reaches(JobState.SUCCEEDED)

    assert ["job-1"] == bench.provider.asked
