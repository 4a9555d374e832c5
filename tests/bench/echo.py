"""The floor of the port for devices: grpc.aio alone, with the daemon's event loop, options and messages.

The servicer is the generated one and answers at once what the daemon would answer. Started with a provider it asks that
first, by the HTTP engine alone: the floor of every gateway made of these two parts. It costs more than the parts one by
one, because each has threads that wait for the same interpreter lock, and wake each other for every single call.
"""

import sys
from collections.abc import AsyncIterator
from typing import Any

import grpc.aio
from bench import payload, role
from bench.exchanges import Ask, through_pyreqwest

from edgeclient.config.schema import IngressConfig
from edgeclient.ingress.server import _options
from edgeclient.v1 import chat_pb2, chat_pb2_grpc


class Echo(chat_pb2_grpc.ChatServiceServicer):
    """Answers at once, or after the provider has."""

    def __init__(self, ask: Ask | None) -> None:
        self._ask = ask
        self._pieces = payload.stream_responses()

    async def Chat(self, request: chat_pb2.ChatRequest, context: Any) -> chat_pb2.ChatResponse:  # noqa: N802  gRPC's
        del context
        if self._ask is not None:
            async for _ in self._ask(payload.is_streamed(request)):
                pass
        return payload.chat_response()

    async def StreamChat(  # noqa: N802  gRPC's
        self, request: chat_pb2.ChatRequest, context: Any
    ) -> AsyncIterator[chat_pb2.StreamChatResponse]:
        del request, context
        if self._ask is None:
            for piece in self._pieces:
                yield piece
            return
        number = 0
        async for _ in self._ask(True):  # noqa: FBT003  streamed
            yield self._pieces[min(number, len(self._pieces) - 1)]
            number += 1


async def serve(provider: list[str]) -> None:
    """Serve on a free port until the input ends."""
    server = grpc.aio.server(options=_options(IngressConfig()))
    ask = through_pyreqwest(*provider) if provider else None
    chat_pb2_grpc.add_ChatServiceServicer_to_server(Echo(ask), server)  # type: ignore[abstract]  # nobody calls BatchChat
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    role.say(port=port)
    await role.obey()
    await server.stop(None)


if __name__ == "__main__":
    role.run(serve(sys.argv[1:]))
