"""The life of a batch without sockets: a cloud that answers when the test lets it."""

import asyncio
import json
from collections import deque
from collections.abc import Coroutine
from typing import Any

import pytest

from edgeclient.simulator.batch.batch import Batch
from edgeclient.simulator.batch.file_store import FileStore, NoRoomError
from edgeclient.simulator.batch.rules import BatchPace, BatchRules
from edgeclient.simulator.batch.runner import BatchRunner
from edgeclient.simulator.batch.states import ENDED, TRANSITIONS, ForbiddenMoveError, Move, Status, moved
from edgeclient.simulator.captured import CapturedExchange
from edgeclient.simulator.identifiers import Identifiers
from edgeclient.simulator.origin import Origin

CHAT = "/v1/chat/completions"
TEST = "/v1/chat/ds-test"


class Cloud:
    """Answers lines; those whose text is `hang` never, those with `refuse` with an error."""

    def __init__(self) -> None:
        self.served: list[Origin] = []
        self.begun = asyncio.Event()

    async def __call__(self, answer: CapturedExchange, origin: Origin) -> str:
        self.served.append(origin)
        self.begun.set()
        text = json.loads(answer.request.body)["messages"][0]["content"]
        if text == "hang":
            await asyncio.get_running_loop().create_future()
        if text == "break":
            answer.send_head(200, [])
            await answer.write(b'{"whole": "but never ended"}')
            answer.reset(2)
        elif text == "refuse":
            answer.send_all(400, [], b'{"error":{"code":"data_inspection_failed","message":"no"}}')
        else:
            answer.send_all(200, [], json.dumps({"echo": text}).encode())
        return f"request {origin.line}"


class Bench:
    """A runner with one file store."""

    def __init__(self, *, manual: bool = True, **rules: Any) -> None:
        self.cloud = Cloud()
        self.tasks: list[asyncio.Task[None]] = []
        self.files = FileStore(BatchRules(**rules), new_id=Identifiers(1).hex_digits, clock=lambda: 1_700_000_000.0)
        self.runner = BatchRunner(
            rules=BatchRules(**rules),
            pace=BatchPace(manual=manual, parallel=2),
            files=self.files,
            serve=self.cloud,
            spawn=self.spawn,
            changed=lambda: None,
            clock=lambda: 1_700_000_000.0,
            seed=1,
        )

    def spawn(self, work: Coroutine[object, object, None], name: str) -> None:
        self.tasks.append(asyncio.create_task(work, name=name))

    def batch(self, *texts: str, model: str = "qwen-plus", url: str = CHAT) -> Batch:
        lines = [
            {
                "custom_id": f"{text}-{number}",
                "method": "POST",
                "url": url,
                "body": {"model": model, "messages": [{"role": "user", "content": text}]},
            }
            for number, text in enumerate(texts, 1)
        ]
        file = self.files.upload("\n".join(map(json.dumps, lines)).encode(), filename="in.jsonl")
        return self.runner.create(
            file,
            endpoint=url,
            completion_window="24h",
            window_s=86_400,
            metadata={},
            authorization="Bearer k",
        )

    def lines(self, file_id: str | None) -> dict[str, Any]:
        assert file_id is not None
        file = self.files.get(file_id)
        assert file is not None
        lines = [json.loads(line) for line in file.content.splitlines()]
        return {line["custom_id"]: line for line in lines}


def counts(batch: Batch) -> tuple[int, int, int]:
    shown = batch.view()["request_counts"]
    return shown["total"], shown["completed"], shown["failed"]


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("move", Move)
def test_every_cell_of_the_table_is_a_state_or_an_error_that_names_both(status: Status, move: Move) -> None:
    if (status, move) in TRANSITIONS:
        assert moved(status, move) in Status
    else:
        with pytest.raises(ForbiddenMoveError, match=f"{status.value}.*{move.value}"):
            moved(status, move)


def test_no_move_leads_out_of_the_end() -> None:
    assert all(after is status for (status, _), after in TRANSITIONS.items() if status in ENDED)


async def test_steps_lead_through_every_state_to_the_results() -> None:
    bench = Bench()
    batch = bench.batch("one", "refuse", "two", "break")
    seen = [(batch.status, counts(batch))]
    while not batch.ended:
        await bench.runner.step(batch, lines=2)
        seen.append((batch.status, counts(batch)))

    assert [
        Status.VALIDATING,
        Status.IN_PROGRESS,
        Status.IN_PROGRESS,
        Status.FINALIZING,
        Status.COMPLETED,
    ] == [status for status, _ in seen]
    assert [(0, 0, 0), (4, 0, 0)] == [count for _, count in seen[:2]]
    assert (4, 2, 2) == counts(batch)
    assert {"one-1", "two-3"} == bench.lines(batch.output_file_id).keys()
    assert {"refuse-2", "break-4"} == bench.lines(batch.error_file_id).keys()


async def test_result_lines_have_the_documented_shape() -> None:
    bench = Bench()
    batch = bench.batch("one", "refuse", "break")
    await bench.runner.finish(batch)
    failed = bench.lines(batch.error_file_id)

    assert {
        "id": "request 1",
        "custom_id": "one-1",
        "response": {"status_code": 200, "request_id": "request 1", "body": {"echo": "one"}},
        "error": None,
    } == bench.lines(batch.output_file_id)["one-1"]
    assert (400, {"code": "data_inspection_failed", "message": "no"}) == (
        failed["refuse-2"]["response"]["status_code"],
        failed["refuse-2"]["error"],
    )
    assert (500, "internal_error") == (
        failed["break-3"]["response"]["status_code"],
        failed["break-3"]["error"]["code"],
    )


async def test_lines_are_asked_at_half_price_with_their_names_and_not_in_order() -> None:
    bench = Bench()
    batch = bench.batch(*[f"t{number}" for number in range(20)])
    await bench.runner.finish(batch)
    numbers = [origin.line or 0 for origin in bench.cloud.served]

    assert list(range(1, 21)) == sorted(numbers)
    assert numbers != sorted(numbers)
    assert {(0.5, batch.id)} == {(origin.price_factor, origin.batch_id) for origin in bench.cloud.served}


async def test_dry_run_costs_nothing_and_only_two_go_at_a_time() -> None:
    bench = Bench()
    batch = bench.batch("one", model="batch-test-model", url=TEST)
    bench.batch("one", model="batch-test-model", url=TEST)
    with pytest.raises(NoRoomError):
        bench.batch("one", model="batch-test-model", url=TEST)
    await bench.runner.finish(batch)

    assert [0.0] == [origin.price_factor for origin in bench.cloud.served]
    assert Status.VALIDATING is bench.batch("one", model="batch-test-model", url=TEST).status


async def test_bad_file_fails_the_batch_and_runs_nothing() -> None:
    bench = Bench()
    batch = bench.batch("one", "two", model="no-such-model")
    await bench.runner.finish(batch)

    assert (Status.FAILED, (0, 0, 0), []) == (batch.status, counts(batch), bench.cloud.served)
    assert [1, 2] == [error["line"] for error in batch.view()["errors"]["data"]]


async def test_cancel_lets_running_lines_finish_and_starts_no_other() -> None:
    bench = Bench()
    batch = bench.batch("one", "two", "three")
    await bench.runner.step(batch)
    await bench.runner.step(batch, lines=1)
    bench.runner.cancel(batch)
    cancelling = batch.status
    await bench.runner.step(batch)

    assert (Status.CANCELLING, Status.CANCELLED) == (cancelling, batch.status)
    assert (3, 1, 2) == counts(batch)
    assert {"batch_cancelled"} == {line["error"]["code"] for line in bench.lines(batch.error_file_id).values()}
    assert [None, None] == [line["response"] for line in bench.lines(batch.error_file_id).values()]
    bench.runner.cancel(batch)


async def test_cancelled_batch_waits_for_a_line_that_hangs_until_it_expires() -> None:
    bench = Bench()
    batch = bench.batch("hang", "hang", "one")
    await bench.runner.step(batch)
    step = asyncio.create_task(bench.runner.step(batch))
    await bench.cloud.begun.wait()
    bench.runner.cancel(batch)
    held = batch.status
    bench.runner.expire(batch)
    await step

    assert (Status.CANCELLING, Status.EXPIRED) == (held, batch.status)
    assert {"batch_expired"} >= {line["error"]["code"] for line in bench.lines(batch.error_file_id).values()}
    assert 3 == sum(counts(batch)[1:])


async def test_batch_is_not_done_while_a_line_is_in_work() -> None:
    bench = Bench()
    batch = bench.batch("hang", "one")
    await bench.runner.step(batch)
    batch.pending = deque(sorted(batch.pending, key=lambda line: line.number))
    step = asyncio.create_task(bench.runner.step(batch, lines=1))
    await bench.cloud.begun.wait()
    await bench.runner.step(batch, lines=1)

    assert (Status.IN_PROGRESS, (2, 1, 0)) == (batch.status, counts(batch))
    bench.runner.expire(batch)
    await step
    assert (2, 1, 1) == counts(batch)


async def test_expired_batch_delivers_what_is_done() -> None:
    bench = Bench()
    batch = bench.batch("one", "two", "three")
    await bench.runner.step(batch)
    await bench.runner.step(batch, lines=2)
    bench.runner.expire(batch)

    assert (Status.EXPIRED, (3, 2, 1)) == (batch.status, counts(batch))
    assert 2 == len(bench.lines(batch.output_file_id))
    assert batch.view()["expired_at"] == 1_700_000_000
    bench.runner.expire(batch)
    assert 1 == len(bench.lines(batch.error_file_id))


@pytest.mark.parametrize("end", [Status.COMPLETED, Status.FAILED, Status.EXPIRED])
async def test_batch_that_has_ended_cannot_be_cancelled(end: Status) -> None:
    bench = Bench()
    batch = bench.batch("one", model="no-such-model" if end is Status.FAILED else "qwen-plus")
    if end is Status.EXPIRED:
        bench.runner.expire(batch)
    await bench.runner.finish(batch)

    assert end is batch.status
    with pytest.raises(ForbiddenMoveError):
        bench.runner.cancel(batch)


async def test_batch_goes_by_itself_unless_it_is_moved_by_hand() -> None:
    bench = Bench(manual=False)
    batch = bench.batch("one", "two", "three")
    await asyncio.gather(*bench.tasks)

    assert (Status.COMPLETED, (3, 3, 0)) == (batch.status, counts(batch))


async def test_hand_and_driver_together_run_each_line_once() -> None:
    bench = Bench(manual=False)
    batch = bench.batch(*[f"t{number}" for number in range(30)])
    await asyncio.gather(bench.runner.finish(batch), *bench.tasks)

    assert (Status.COMPLETED, (30, 30, 0)) == (batch.status, counts(batch))
    assert 30 == len(bench.cloud.served)


async def test_line_that_an_outage_interrupts_is_run_again() -> None:
    bench = Bench()
    batch = bench.batch("hang")
    await bench.runner.step(batch)
    step = asyncio.create_task(bench.runner.step(batch))
    await bench.cloud.begun.wait()
    step.cancel()
    await asyncio.wait([step])

    assert (Status.IN_PROGRESS, 1, 0) == (batch.status, len(batch.pending), len(batch.in_work))


def test_files_keep_to_the_limits_of_the_account() -> None:
    files = FileStore(BatchRules(files=2, stored_bytes=10), new_id=Identifiers(1).hex_digits, clock=lambda: 0.0)
    first = files.upload(b"12345678", filename="a")

    with pytest.raises(NoRoomError, match="capacity"):
        files.upload(b"123", filename="b")
    files.upload(b"12", filename="b")
    with pytest.raises(NoRoomError, match="number"):
        files.upload(b"", filename="c")
    assert (True, False) == (files.delete(first.id), files.delete(first.id))
    assert files.upload(b"12345678", filename="c").id.startswith("file-batch-")


@pytest.mark.parametrize("over", [{"file_lines": 0}, {"running": 0}])
def test_impossible_rule_is_refused_by_its_field_of_batch(over: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(over))):
        BatchRules(**over)


@pytest.mark.parametrize("over", [{"line_s": -1}, {"parallel": 0}, {"time_scale": 0}])
def test_impossible_pace_is_refused_by_its_field_of_batch(over: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(over))):
        BatchPace(**over)
