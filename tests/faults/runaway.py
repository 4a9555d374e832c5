"""The runaway guard: a provider that never does what it is asked costs a bounded number of requests, and no more later.

Devices of every kind ask at the same moment. The bound is attempts times calls; where an outcome is unknown, it is one
request for each call, and two for a job that permits it.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from faults.forms import ENDED, ask, submit, wait
from faults.house import JOB_ATTEMPTS, MAX_ATTEMPTS, House
from faults.kinds import CHATS, JOBS, LIVE, Form

from edgeclient.simulator import Fault
from edgeclient.v1 import chat_pb2

_EACH: Final = 5
_LIVE: Final = 5  # ways of asking live, the items of a batch among them


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """A provider that is always like this.

    Attributes:
        name: For people.
        fault: Of the simulated cloud.
        live, job, once: Most requests for one call, one job, one job that may be resent once.
    """

    name: str
    fault: tuple[tuple[str, object], ...]
    live: int
    job: int
    once: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a trouble has cost."""

    trouble: Trouble
    calls: int
    requests: int
    most: int
    worst: int
    billed: int
    late: int

    @property
    def problems(self) -> list[str]:
        """Every bound that was broken."""
        found = []
        if self.requests > self.most:
            found.append(f"{self.requests} requests for {self.calls} calls, at most {self.most}")
        if self.worst > max(self.trouble.live, self.trouble.job, self.trouble.once):
            found.append(f"{self.worst} requests for one of them")
        if self.late:
            found.append(f"{self.late} requests after everybody was told")
        return found


TROUBLES: Final = (
    Trouble(name="always times out", fault=(("kind", "hang"),), live=1, job=1, once=2),
    Trouble(name="always breaks off", fault=(("kind", "cut"), ("executed", True)), live=1, job=1, once=2),
    Trouble(
        name="always fails",
        fault=(("kind", "internal_error"), ("retry_after", "0")),
        live=MAX_ATTEMPTS,
        job=JOB_ATTEMPTS,
        once=JOB_ATTEMPTS,
    ),
)


async def runaways(house: House) -> AsyncIterator[Cost]:
    """Every trouble, each with devices of every kind."""
    for trouble in TROUBLES:
        yield await cost(house, trouble)
        await house.restart()


async def cost(house: House, trouble: Trouble, *, watch_s: float = 20.0) -> Cost:
    """What one trouble costs; jobs are watched for so long."""
    mark = f"runaway {trouble.name}"
    house.sim.faults.add(Fault(path=CHATS, text=mark, **dict(trouble.fault)))  # type: ignore[arg-type]
    prompts: list[str] = []
    jobs: list[asyncio.Task[str]] = []

    def prompt(kind: str, number: int) -> str:
        prompts.append(f"{mark}, {kind} {number}.")
        return prompts[-1]

    async with asyncio.TaskGroup() as group:
        for number in range(_EACH):
            for form in LIVE:
                key = f"runaway-{trouble.name.replace(' ', '-')}-{number}"
                group.create_task(ask(house, form, prompt(form.value, number), key=key))
            jobs += [group.create_task(_job(house, form, prompt(form.value, number), watch_s)) for form in JOBS]
        group.create_task(_batch(house, [prompt("item", number) for number in range(_EACH)]))
    await house.settled()
    go_on = {job.result() for job in jobs}
    over = [each for each in prompts if each not in go_on]
    before = sum(len(house.entries(each)) for each in over)
    await house.heal()
    await asyncio.sleep(1.0)  # what would come by itself now is too much
    counts = [len(house.entries(each)) for each in prompts]
    late = sum(len(house.entries(each)) for each in over) - before
    billed = sum(bool(entry.tokens_billed) for entry in house.entries(mark))
    return Cost(
        trouble=trouble,
        calls=len(prompts),
        requests=sum(counts),
        most=_EACH * (_LIVE * trouble.live + trouble.job + trouble.once),
        worst=max(counts),
        billed=billed,
        late=late,
    )


async def _job(house: House, form: Form, prompt: str, watch_s: float) -> str:
    """The prompt of a job that goes on, "" if it has ended: jobs take turns behind a provider in trouble."""
    job_id = await submit(house, form, prompt, key="")
    told = await wait(house, job_id, at_most_s=watch_s)
    return "" if told.state in ENDED else prompt


async def _batch(house: House, prompts: list[str]) -> None:
    batch = chat_pb2.BatchChatRequest(requests=[chat_pb2.ChatRequest(prompt=prompt) for prompt in prompts])
    async for _ in house.chat.BatchChat(batch):
        pass
