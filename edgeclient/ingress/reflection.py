"""gRPC reflection, v1 and v1alpha: grpcurl and its kin need no .proto files.

The library serves v1alpha only. Newer tools ask for v1 first, and a proxy that answers the unknown service with an
error would break them, so the same servicer stands under both names; the description of v1, whose messages differ by
their package alone, is made from that of v1alpha. What is described is what is served, and the details of errors.

Two things are added to the library's servicer: a request that cannot be decoded is INVALID_ARGUMENT, not INTERNAL, and
a stream that only waits for the next question ends when the node stops, or it would hold up the end for the whole
grace.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

import grpc
import grpc.aio
from google.protobuf import descriptor_pool, text_format
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2

_V1, _V1ALPHA = "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"

_Context = grpc.aio.ServicerContext[bytes, bytes]


class Reflection:
    """Both versions.

    Args:
        services: Full names of what is served besides.
    """

    def __init__(self, services: Sequence[str]) -> None:
        self._pool = _pool(services)
        self._servicer = reflection.aio.ReflectionServicer([*services, _V1, _V1ALPHA], self._pool)
        self._waits: set[asyncio.Timeout] = set()
        self._stopping = False

    def add_to(self, server: grpc.aio.Server) -> None:
        """Register."""
        handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
            "ServerReflectionInfo": grpc.stream_stream_rpc_method_handler(self._info)
        }
        for name in (_V1, _V1ALPHA):
            server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, handlers),))

    def stop(self) -> None:
        """End the streams that wait for a question."""
        self._stopping = True
        for wait in self._waits:
            wait.reschedule(asyncio.get_running_loop().time())

    async def _info(self, requests: AsyncIterator[bytes], context: _Context) -> AsyncIterator[bytes]:
        async for response in self._servicer.ServerReflectionInfo(self._questions(requests, context), context):
            yield response.SerializeToString()

    async def _questions(
        self, requests: AsyncIterator[bytes], context: _Context
    ) -> AsyncIterator[reflection_pb2.ServerReflectionRequest]:
        source = aiter(requests)
        while True:
            try:
                async with asyncio.timeout(0 if self._stopping else None) as wait:
                    self._waits.add(wait)
                    try:
                        data = await anext(source)
                    finally:
                        self._waits.discard(wait)
                yield self._findable(reflection_pb2.ServerReflectionRequest.FromString(data))
            except StopAsyncIteration:
                return
            except TimeoutError:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "this node is shutting down")
            except DecodeError:
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the request cannot be decoded")

    def _findable(self, request: reflection_pb2.ServerReflectionRequest) -> reflection_pb2.ServerReflectionRequest:
        """The pool knows no methods by name; the service that one belongs to is in the same file."""
        service, _, _ = request.file_containing_symbol.rpartition(".")
        with contextlib.suppress(KeyError):
            self._pool.FindServiceByName(service)
            request.file_containing_symbol = service
        return request


def _pool(services: Sequence[str]) -> DescriptorPool:
    """What is described: the files of the services and all that they import."""
    known = descriptor_pool.Default()
    pool = DescriptorPool()
    added: set[str] = set()

    def add(file: FileDescriptor) -> None:
        if file.name not in added:
            added.add(file.name)
            for imported in file.dependencies:
                add(imported)
            pool.AddSerializedFile(file.serialized_pb)

    for name in services:
        add(known.FindFileContainingSymbol(name))
    for file in (reflection_pb2.DESCRIPTOR, status_pb2.DESCRIPTOR, error_details_pb2.DESCRIPTOR):
        add(file)
    pool.AddSerializedFile(_described_v1().SerializeToString())
    return pool


def _described_v1() -> FileDescriptorProto:
    v1alpha = FileDescriptorProto.FromString(reflection_pb2.DESCRIPTOR.serialized_pb)
    return text_format.Parse(str(v1alpha).replace("v1alpha", "v1"), FileDescriptorProto())
