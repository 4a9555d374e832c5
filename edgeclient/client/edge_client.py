"""The connection of a device to an edge node.

It promises that a repeat under the hood is never charged again: gRPC repeats what the node says may be repeated, and
nothing else. A caller who repeats by itself sets an idempotency_key, where the node remembers keys
(`NodeStatus.limits.idempotency_window`). It promises that a stream is whole: one that ends
without saying why it ended is a failure, and signs of life are not handed on. It leaves out caches and queues: those
are the node's, and the calls that supervise what is queued there are in `job_calls.py`.

Every call has a deadline; a caller who forgets it gets one that only a broken node reaches.
"""

from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import grpc
import grpc.aio

from edgeclient.client.channel import ChannelSettings, open_channel
from edgeclient.client.edge_error import EdgeError
from edgeclient.client.job_calls import JobCalls
from edgeclient.v1 import chat_pb2, chat_pb2_grpc, node_pb2, node_pb2_grpc

# A long answer with reasoning takes minutes; a batch takes the provider's time for all of its conversations.
_CHAT_TIMEOUT_S = 600.0
_BATCH_TIMEOUT_S = 3600.0
# Answered from the node's memory.
_READ_TIMEOUT_S = 10.0
# 100 models a page: an end for a node that never stops giving page tokens.
_MAX_PAGES = 100


class EdgeClient(JobCalls):
    """Calls to one node; used as `async with EdgeClient(...) as node`.

    Args:
        address: `host:port`, `[ipv6]:port` or `unix:path` of the node.
        ca_file: PEM certificates to trust instead of the system's.
        certificate_file: PEM certificate that names this device to the node.
        key_file: PEM private key of the certificate.
        token: Bearer token that names this device to the node.
        plaintext: True: no TLS; False: TLS. None: TLS, except to a loopback address or Unix socket without `ca_file`
            and `certificate_file`. A token given with True can be read by everyone on the network.
        retries: Repeat calls by the node's advice. False for a person who rather sees the failure at once.

    Raises:
        ValueError: Arguments contradict each other or the token cannot be sent.
        OSError: A file cannot be read.
    """

    def __init__(
        self,
        address: str,
        *,
        ca_file: str | Path | None = None,
        certificate_file: str | Path | None = None,
        key_file: str | Path | None = None,
        token: str | None = None,
        plaintext: bool | None = None,
        retries: bool = True,
    ) -> None:
        self._settings = ChannelSettings(
            address=address,
            ca_file=ca_file,
            certificate_file=certificate_file,
            key_file=key_file,
            plaintext=plaintext,
            retries=retries,
        )
        self._credentials = self._settings.credentials()
        self._metadata = _authorization(token)
        self._channel: grpc.aio.Channel | None = None

    async def __aenter__(self) -> Self:
        """Prepare the channel; it connects with the first call."""
        self._channel = open_channel(self._settings, self._credentials)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Cancel what still runs and disconnect."""
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close()

    async def chat(
        self, request: chat_pb2.ChatRequest | str, *, timeout_s: float = _CHAT_TIMEOUT_S
    ) -> chat_pb2.ChatResponse:
        """The whole answer.

        Args:
            request: The request, or a prompt for the default model.
            timeout_s: When to give up.

        Raises:
            EdgeError: There is no answer.
        """
        try:
            return await self._chat.Chat(_request(request), timeout=timeout_s, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            raise EdgeError.from_rpc(error) from error

    async def stream(
        self, request: chat_pb2.ChatRequest | str, *, timeout_s: float = _CHAT_TIMEOUT_S
    ) -> AsyncGenerator[chat_pb2.StreamChatResponse, None]:
        """The answer while it is generated; `Assembly` puts the pieces together.

        Leave it early with `contextlib.aclosing`, so that the node stops the upstream request at once.

        Raises:
            EdgeError: The answer broke off; what was yielded is valid but incomplete.
        """
        call = self._chat.StreamChat(_request(request), timeout=timeout_s, metadata=self._metadata)
        complete = False
        try:
            async for piece in call:
                if piece.ByteSize():
                    complete = complete or bool(piece.finish_reason or piece.job_id)
                    yield piece
        except grpc.aio.AioRpcError as error:
            raise EdgeError.from_rpc(error) from error
        finally:
            call.cancel()
        if not complete:
            raise EdgeError(
                grpc.StatusCode.INTERNAL, "the stream ended without a finish_reason; the answer is incomplete"
            )

    async def batch(
        self,
        requests: Sequence[chat_pb2.ChatRequest | str],
        defaults: chat_pb2.ChatRequest | None = None,
        *,
        timeout_s: float = _BATCH_TIMEOUT_S,
    ) -> AsyncGenerator[chat_pb2.BatchChatResponse, None]:
        """The results of independent conversations, each as soon as it is ready, in any order.

        Args:
            requests: At most `status().limits.max_batch_item_count` of them.
            defaults: Values that all of them share.
            timeout_s: When to give up the rest.

        Raises:
            EdgeError: The batch broke off; what was yielded is valid. The failure of one conversation is yielded, see
                `EdgeError.from_item`.
        """
        request = chat_pb2.BatchChatRequest(requests=[_request(item) for item in requests], defaults=defaults)
        call = self._chat.BatchChat(request, timeout=timeout_s, metadata=self._metadata)
        missing = set(range(len(requests)))
        try:
            async for result in call:
                if result.index in missing and result.WhichOneof("result"):
                    missing.discard(result.index)
                    yield result
        except grpc.aio.AioRpcError as error:
            raise EdgeError.from_rpc(error) from error
        finally:
            call.cancel()
        if missing:
            raise EdgeError(grpc.StatusCode.INTERNAL, f"the node left out {len(missing)} results of the batch")

    async def models(self, *, timeout_s: float = _READ_TIMEOUT_S) -> list[node_pb2.Model]:
        """The models that this device may use, the default one first."""
        models: list[node_pb2.Model] = []
        request = node_pb2.ListModelsRequest(page_size=100)
        try:
            for _ in range(_MAX_PAGES):
                page = await self._node.ListModels(request, timeout=timeout_s, metadata=self._metadata)
                models += page.models
                request.page_token = page.next_page_token
                if not page.next_page_token:
                    break
        except grpc.aio.AioRpcError as error:
            raise EdgeError.from_rpc(error) from error
        return models

    async def status(self, *, timeout_s: float = _READ_TIMEOUT_S) -> node_pb2.NodeStatus:
        """State, load and limits of the node."""
        request = node_pb2.GetNodeStatusRequest()
        try:
            response = await self._node.GetNodeStatus(request, timeout=timeout_s, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            raise EdgeError.from_rpc(error) from error
        return response.status

    # The stubs' types exist for type checkers only, hence the quotes.
    @property
    def _chat(self) -> "chat_pb2_grpc.ChatServiceAsyncStub":
        return chat_pb2_grpc.ChatServiceStub(self._opened)

    @property
    def _node(self) -> "node_pb2_grpc.NodeServiceAsyncStub":
        return node_pb2_grpc.NodeServiceStub(self._opened)

    @property
    def _opened(self) -> grpc.aio.Channel:
        if self._channel is None:
            raise RuntimeError("EdgeClient is not open; use `async with EdgeClient(...) as node`")
        return self._channel


def _authorization(token: str | None) -> tuple[tuple[str, str], ...]:
    if token is None:
        return ()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise ValueError("token: has to be printable ASCII without spaces")
    return (("authorization", f"Bearer {token}"),)


def _request(request: chat_pb2.ChatRequest | str) -> chat_pb2.ChatRequest:
    return chat_pb2.ChatRequest(prompt=request) if isinstance(request, str) else request
