"""`grpc.health.v1.Health`, served by us.

The library's own servicer is not used, for three things that a node among many devices needs: a watcher that leaves
must not silence the others who watch the same service; a node that drains tells its watchers and lets them go, since
an open Watch would otherwise hold up the end for the whole grace; and a request that cannot be decoded is
INVALID_ARGUMENT, not INTERNAL.
"""

import asyncio

import grpc
import grpc.aio
from google.protobuf.message import DecodeError
from grpc_health.v1 import health_pb2

_SERVICE = "grpc.health.v1.Health"

_Context = grpc.aio.ServicerContext[bytes, bytes]
_Status = health_pb2.HealthCheckResponse


class Health:
    """The process ("") and each service by its full name."""

    def __init__(self) -> None:
        self._statuses: dict[str, int] = {"": _Status.SERVING}
        self._draining = False
        self._changed = asyncio.Event()  # a new one after each change

    def set(self, service: str, *, serving: bool) -> None:
        """Tell whether a service can do its work. Has no effect once the node drains."""
        if not self._draining:
            self._statuses[service] = _Status.SERVING if serving else _Status.NOT_SERVING
            self._tell()

    def drain(self) -> None:
        """Everything is NOT_SERVING from now on; who watches is told and let go."""
        self._draining = True
        self._statuses = dict.fromkeys(self._statuses, _Status.NOT_SERVING)
        self._tell()

    def add_to(self, server: grpc.aio.Server) -> str:
        """Register; returns the full name of the service."""
        handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
            "Check": grpc.unary_unary_rpc_method_handler(self._check),
            "Watch": grpc.unary_stream_rpc_method_handler(self._watch),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, handlers),))
        return _SERVICE

    def _tell(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def _check(self, data: bytes, context: _Context) -> bytes:
        service = await _asked(data, context)
        status = self._statuses.get(service)
        if status is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, "this node has no such service; reflection lists them")
        return bytes(_Status(status=status).SerializeToString())

    async def _watch(self, data: bytes, context: _Context) -> None:
        """Tell the status and each change of it; a service that is not there may yet come, says the protocol."""
        service = await _asked(data, context)
        told: int | None = None
        while True:
            changed = self._changed
            status = self._statuses.get(service, _Status.SERVICE_UNKNOWN)
            if status != told:
                await context.write(_Status(status=status).SerializeToString())
                told = status
            if self._draining:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "this node is shutting down")
            await changed.wait()


async def _asked(data: bytes, context: _Context) -> str:
    """Name of the service that a request is about."""
    try:
        return str(health_pb2.HealthCheckRequest.FromString(data).service)
    except DecodeError:
        return await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the request cannot be decoded")
