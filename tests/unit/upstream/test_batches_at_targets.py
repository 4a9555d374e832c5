"""A batch is made at one target, and asked for where it was made."""

from collections.abc import AsyncIterator, Sequence

import builders
import pytest

from edgeclient.core.errors import Unavailable
from edgeclient.core.half_price import LineResult, ProviderBatch
from edgeclient.core.models import ModelSpec
from edgeclient.upstream.batch.at_targets import BatchesAtTargets
from edgeclient.v1 import chat_pb2


class Provider:
    """Notes what it is asked."""

    def __init__(self, target: str) -> None:
        self.target = f"{target}/batch"
        self.asked: list[tuple[str, str]] = []

    def line(self, custom_id: str, request: chat_pb2.ChatRequest, model: ModelSpec) -> bytes:
        del request, model
        return f"{self.target} {custom_id}".encode()

    async def upload(self, name: str, lines: Sequence[bytes]) -> str:
        del lines
        self.asked.append(("upload", name))
        return "file-1"

    async def create(self, file_id: str, *, name: str, window_h: int) -> ProviderBatch:
        del window_h
        self.asked.append(("create", file_id))
        return ProviderBatch(id="batch_1", name=name, status="validating")

    async def named(self, name: str, *, file_id: str) -> list[ProviderBatch]:
        self.asked.append(("named", file_id))
        return [ProviderBatch(id="batch_1", name=name, status="in_progress")]

    async def batch(self, batch_id: str) -> ProviderBatch:
        self.asked.append(("batch", batch_id))
        return ProviderBatch(id=batch_id, name="n", status="completed", output_file_id="out-1", error_file_id="")

    async def cancel(self, batch_id: str) -> None:
        self.asked.append(("cancel", batch_id))

    async def results(self, file_id: str, model: ModelSpec) -> AsyncIterator[LineResult]:
        del model
        self.asked.append(("results", file_id))
        yield LineResult(custom_id="a", response=chat_pb2.ChatResponse())

    async def delete(self, file_id: str) -> None:
        self.asked.append(("delete", file_id))


@pytest.fixture
def providers() -> dict[str, Provider]:
    return {name: Provider(name) for name in ("beijing", "singapore")}


async def test_new_batches_go_home_and_their_ids_say_so(providers: dict[str, Provider]) -> None:
    batches = BatchesAtTargets(providers, home="singapore", first="beijing")
    assert batches.line("x", builders.chat_request(), builders.model()) == b"singapore/batch x"
    file_id = await batches.upload("n", [])
    created = await batches.create(file_id, name="n", window_h=24)
    assert (file_id, created.id, created.output_file_id) == ("singapore/file-1", "singapore/batch_1", "")
    assert providers["singapore"].asked == [("upload", "n"), ("create", "file-1")]


async def test_batch_is_asked_for_where_it_was_made_wherever_home_is_now(providers: dict[str, Provider]) -> None:
    batches = BatchesAtTargets(providers, home="singapore", first="singapore")
    seen = await batches.batch("beijing/batch_1")
    assert (seen.id, seen.output_file_id, seen.error_file_id) == ("beijing/batch_1", "beijing/out-1", "")
    (found,) = await batches.named("n", file_id="beijing/file-1")
    assert found.id == "beijing/batch_1"
    await batches.cancel(found.id)
    (line,) = [each async for each in batches.results(seen.output_file_id, builders.model())]
    assert line.response is not None
    assert line.response.target == "beijing/batch"
    await batches.delete(seen.output_file_id)
    expected = [("batch", "batch_1"), ("named", "file-1"), ("cancel", "batch_1"), ("results", "out-1")]
    assert providers["beijing"].asked == [*expected, ("delete", "out-1")]
    assert not providers["singapore"].asked


async def test_batch_of_before_there_were_rows_belongs_to_the_first(providers: dict[str, Provider]) -> None:
    batches = BatchesAtTargets(providers, home="singapore", first="beijing")
    assert (await batches.batch("batch_1")).id == "batch_1"
    assert providers["beijing"].asked == [("batch", "batch_1")]


async def test_batch_of_a_target_that_is_gone_waits_and_says_why(providers: dict[str, Provider]) -> None:
    batches = BatchesAtTargets(providers, home="singapore", first="beijing")
    with pytest.raises(Unavailable, match="made at the target 'moon', which is not in"):
        await batches.batch("moon/batch_1")
