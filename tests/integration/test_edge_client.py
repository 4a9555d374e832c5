"""The SDK against a real grpc.aio server."""

import asyncio
import datetime as dt
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import TypeVar

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from fakes.chat_service import REQUEST_ID, Breaks, Fails, FakeNode, Hangs, Says, served

from edgeclient.client import EdgeClient, EdgeError
from edgeclient.v1 import chat_pb2, node_pb2

Piece = TypeVar("Piece", chat_pb2.StreamChatResponse, chat_pb2.BatchChatResponse)


@pytest.fixture
def fake() -> FakeNode:
    return FakeNode()


@pytest.fixture
async def node(fake: FakeNode) -> AsyncIterator[EdgeClient]:
    async with asyncio.timeout(20), served(fake) as address, EdgeClient(address, token="t0ken") as client:
        yield client


def written_certificates(directory: Path) -> tuple[Path, Path, Path]:
    """One self-signed certificate for both ends, as CA, certificate and key file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    files = [directory / "ca.pem", directory / "certificate.pem", directory / "key.pem"]
    for file in files[:2]:
        file.write_bytes(certificate.public_bytes(pem))
    files[2].write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return files[0], files[1], files[2]


async def drained(results: AsyncGenerator[Piece, None]) -> tuple[list[Piece], EdgeError]:
    """What came before the error, and the error."""
    got: list[Piece] = []
    try:
        async for result in results:
            got.append(result)  # noqa: PERF401  what came before the error is the point
    except EdgeError as error:
        return got, error
    raise AssertionError("no error")


async def test_prompt_is_answered(node: EdgeClient, fake: FakeNode) -> None:
    response = await node.chat("hi", timeout_s=5)

    assert response.message.content == "echo: hi"
    assert fake.metadata[0]["authorization"] == "Bearer t0ken"
    assert 4 < fake.deadlines_s[0] < 6  # gRPC rounds it up on the wire


async def test_key_is_the_callers_business(node: EdgeClient, fake: FakeNode) -> None:
    await node.chat(chat_pb2.ChatRequest(prompt="hi"))
    await node.chat(chat_pb2.ChatRequest(prompt="hi", idempotency_key="mine"))

    assert ["", "mine"] == [seen.idempotency_key for seen in fake.requests]


async def test_stream_hides_signs_of_life(node: EdgeClient) -> None:
    pieces = [piece async for piece in node.stream("hi")]

    assert all(piece.ByteSize() for piece in pieces)
    assert "".join(piece.content for piece in pieces) == "echo: hi"


async def test_failure_tells_all_facts(node: EdgeClient, fake: FakeNode) -> None:
    fake.script["hi"] = Fails(
        code=grpc.StatusCode.RESOURCE_EXHAUSTED, reason="RATE_LIMITED", message="slower", retry_after_s=3
    )
    with pytest.raises(EdgeError) as caught:
        await node.chat("hi")

    assert caught.value.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert caught.value.reason == "RATE_LIMITED"
    assert caught.value.message == "slower"
    assert caught.value.retry_after_s == 3
    assert caught.value.request_id == REQUEST_ID


async def test_unavailable_is_repeated_as_the_node_advises(node: EdgeClient, fake: FakeNode) -> None:
    fake.script["hi"] = Fails(code=grpc.StatusCode.UNAVAILABLE, reason="OVERLOADED", retry_after_s=0.01, times=2)

    assert (await node.chat("hi")).message.content == "echo: hi"
    assert len(fake.requests) == 3


async def test_node_can_forbid_the_repeat(node: EdgeClient, fake: FakeNode) -> None:
    fake.script["hi"] = Fails(code=grpc.StatusCode.UNAVAILABLE, reason="UPSTREAM_TIMEOUT", possibly_billed=True)
    with pytest.raises(EdgeError) as caught:
        await node.chat("hi")

    assert len(fake.requests) == 1
    assert caught.value.possibly_billed


@pytest.mark.parametrize("error", [Fails(code=grpc.StatusCode.UNAVAILABLE, reason="UPSTREAM_INTERRUPTED"), None])
async def test_cut_stream_is_a_failure(node: EdgeClient, fake: FakeNode, error: Fails | None) -> None:
    fake.script["hi"] = Breaks(pieces=("half",), error=error)

    got, caught = await drained(node.stream("hi"))

    assert "".join(piece.content for piece in got) == "half"
    assert (error.reason if error else "") == caught.reason


async def test_leaving_a_stream_cancels_the_call(node: EdgeClient, fake: FakeNode) -> None:
    fake.script["hi"] = Hangs(pieces=("half",))
    async with aclosing(node.stream("hi")) as pieces:
        async for piece in pieces:
            if piece.content:
                break
    await fake.cancelled.wait()

    assert fake.cancelled.is_set()


async def test_deadline_of_the_caller_is_told(node: EdgeClient, fake: FakeNode) -> None:
    fake.script["hi"] = Hangs()
    with pytest.raises(EdgeError) as caught:
        await node.chat("hi", timeout_s=0.05)

    assert caught.value.code is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_cancelling_the_task_cancels_the_call(node: EdgeClient, fake: FakeNode) -> None:
    fake.script["hi"] = Hangs()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(node.chat("hi"), name="chat")
        await fake.hanging.wait()
        task.cancel()
    await fake.cancelled.wait()

    assert task.cancelled()


async def test_batch_reports_each_item(node: EdgeClient, fake: FakeNode) -> None:
    fake.script["bad"] = Fails(code=grpc.StatusCode.INVALID_ARGUMENT, reason="INVALID_REQUEST", field="prompt")
    defaults = chat_pb2.ChatRequest(system="s")

    results = {result.index: result async for result in node.batch(["a", "bad", "c"], defaults)}

    assert results[0].response.message.content == "echo: a"
    assert EdgeError.from_item(results[1].error).reason == "INVALID_REQUEST"
    assert all(request.system == "s" for request in fake.requests)


async def test_batch_that_breaks_off_keeps_what_it_gave(node: EdgeClient, fake: FakeNode) -> None:
    fake.batch_error = Fails(code=grpc.StatusCode.PERMISSION_DENIED, reason="CALLER_NOT_ALLOWED")

    got, caught = await drained(node.batch(["a", "b"]))

    assert [result.index for result in got] == [1]
    assert caught.code is grpc.StatusCode.PERMISSION_DENIED


async def test_all_pages_of_models_are_read(node: EdgeClient, fake: FakeNode) -> None:
    fake.models = [node_pb2.Model(id=f"m{number}") for number in range(5)]

    assert [model.id for model in await node.models()] == ["m0", "m1", "m2", "m3", "m4"]


async def test_status_tells_limits(node: EdgeClient) -> None:
    assert (await node.status()).limits.max_batch_item_count == 3


async def test_queued_answer_ends_a_stream(node: EdgeClient, fake: FakeNode) -> None:
    fake.script["hi"] = Says(job_id="j-1")

    assert [piece.job_id async for piece in node.stream("hi")] == ["j-1"]


async def test_absent_node_is_unavailable_at_once() -> None:
    async with asyncio.timeout(10), EdgeClient("127.0.0.1:1", retries=False) as client:
        with pytest.raises(EdgeError) as caught:
            await client.chat("hi")

    assert caught.value.code is grpc.StatusCode.UNAVAILABLE
    assert caught.value.reason == ""


async def test_tls_is_mutual_when_files_are_given(fake: FakeNode, tmp_path: Path) -> None:
    ca_file, certificate_file, key_file = written_certificates(tmp_path)
    credentials = grpc.ssl_server_credentials(
        [(key_file.read_bytes(), certificate_file.read_bytes())], ca_file.read_bytes(), require_client_auth=True
    )
    async with asyncio.timeout(20), served(fake, credentials=credentials) as address:
        where = address.replace("127.0.0.1", "localhost")
        named = EdgeClient(where, ca_file=ca_file, certificate_file=certificate_file, key_file=key_file)
        async with named as node:
            assert (await node.chat("hi")).message.content == "echo: hi"
        async with EdgeClient(where, ca_file=ca_file, retries=False) as nameless:
            with pytest.raises(EdgeError) as caught:
                await nameless.chat("hi")

    assert caught.value.code is grpc.StatusCode.UNAVAILABLE


async def test_closed_client_says_how_to_open_it() -> None:
    with pytest.raises(RuntimeError, match="async with"):
        await EdgeClient("localhost:1").chat("hi")


@pytest.mark.parametrize("token", ["", "two words", "schlüssel", "line\n"])
def test_unsendable_token_is_refused(token: str) -> None:
    with pytest.raises(ValueError, match="token"):
        EdgeClient("localhost:1", token=token)
