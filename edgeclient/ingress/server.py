"""The wire engine: grpc.aio, and all that is known of it.

Nothing outside this file (and its companions `health.py`, `reflection.py` and `tls.py`) knows grpc, so that another
engine could serve the same methods. What it promises: a request that cannot be decoded is INVALID_ARGUMENT, an
unexpected exception is INTERNAL with a request id and a `DefectFound`, a `CallError` is its status with the three
copies of the facts, and nothing is UNKNOWN; cancellation is passed on by letting `CancelledError` through (swallowing
it leaks in grpc.aio as well); every RPC is reported once.

Settings are for devices behind NAT; each was measured: without `so_reuseport = 0` a second daemon binds the same port
and silently takes half of the connections; the default ping policy (one per five minutes) cuts off devices that keep
their NAT entry alive; `maximum_concurrent_rpcs` counts health checks too and was broken in two releases.
"""

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Sequence

import grpc
import grpc.aio
from google.protobuf.message import DecodeError, Message

from edgeclient.config.address import why_unbound
from edgeclient.config.schema import IngressConfig
from edgeclient.config.setting import SettingError
from edgeclient.core.deadline import Deadline
from edgeclient.core.errors import CallError, Rejected, Stopping
from edgeclient.core.events import DefectFound, Event, RpcFinished
from edgeclient.core.identifiers import new_identifier
from edgeclient.core.ports import Clock, Observe
from edgeclient.ingress import status
from edgeclient.ingress.health import Health
from edgeclient.ingress.health_port import HealthPort
from edgeclient.ingress.identity import Identity
from edgeclient.ingress.inbound import Inbound, Metadata
from edgeclient.ingress.methods import Method, ServeStream, ServeUnary
from edgeclient.ingress.reflection import Reflection
from edgeclient.ingress.tls import server_credentials
from edgeclient.v1 import error_pb2

_Context = grpc.aio.ServicerContext[bytes, bytes]
_LAST_WORDS_S = 1.0  # for the status of the last call to reach its device
_STATUS = {code.value[0]: code for code in grpc.StatusCode}


class GrpcServer:
    """The port for devices.

    Args:
        config: Address, certificates, limits.
        methods: What is served.
        health: The standard health service.
        identity: Names callers.
        clock: Time.
        observe: Takes `RpcFinished` and `DefectFound`.
        random: Uniform in [0, 1); spreads retry delays.
    """

    def __init__(
        self,
        *,
        config: IngressConfig,
        methods: Sequence[Method],
        health: Health,
        identity: Identity,
        clock: Clock,
        observe: Observe,
        random: Callable[[], float],
    ) -> None:
        self._config = config
        self._methods = methods
        self._identity = identity
        self._health = health
        self._probes = HealthPort(config.health_listen, health) if config.health_listen else None
        self._clock = clock
        self._observe = observe
        self._random = random
        self._server: grpc.aio.Server | None = None
        self._reflection: Reflection | None = None
        self._serving = False
        self._stopping = False
        self._active = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self.address = ""

    async def start(self) -> None:
        """Bind the port and take calls.

        Raises:
            SettingError: The port or the certificates cannot be used.
        """
        server = grpc.aio.server(options=_options(self._config))
        for service in sorted({method.service for method in self._methods}):
            handlers = {method.name: self._handler(method) for method in self._methods if method.service == service}
            server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
        names = [*sorted({method.service for method in self._methods}), self._health.add_to(server)]
        if self._config.reflection:
            self._reflection = Reflection(names)
            self._reflection.add_to(server)
        self.address = self._bind(server)
        if self._probes is not None:
            await self._probes.start()
        await server.start()
        self._server = server
        self._serving = True

    @property
    def serving(self) -> bool:
        """New calls are taken."""
        return self._serving

    async def stop(self, grace_s: float) -> None:
        """Refuse new calls at once, give running ones `grace_s`, then cut them off with UNAVAILABLE.

        Ends when the last running call has ended: the library now and then takes a call that arrives in this very
        moment and never hands it out, and would wait for it as long as for a running one (measured: 3 of 25 stops).
        """
        self._serving = False
        self._stopping = True
        if self._reflection is not None:
            self._reflection.stop()
        if self._server is not None:
            await self._end(self._server, grace_s)
        if self._probes is not None:
            await self._probes.stop()

    async def _end(self, server: grpc.aio.Server, grace_s: float) -> None:
        if grace_s <= _LAST_WORDS_S:
            await server.stop(grace_s)
            return
        async with asyncio.TaskGroup() as group:
            stop = group.create_task(server.stop(grace_s), name="end of the port")
            idle = group.create_task(self._idle.wait(), name="last running call")
            await asyncio.wait([stop, idle], return_when=asyncio.FIRST_COMPLETED)
            if not stop.done():
                await server.stop(_LAST_WORDS_S)  # shortens the first one; cancelling either crashes the library
            idle.cancel()

    def _bind(self, server: grpc.aio.Server) -> str:
        listen = self._config.listen
        try:
            if self._config.tls_certificate_file:
                port = server.add_secure_port(listen, server_credentials(self._config, self._observe_from_any_thread()))
            else:
                port = server.add_insecure_port(listen)
        except RuntimeError as error:
            problem = f"{listen} {why_unbound(listen)}"
            raise SettingError([f"ingress.listen: {problem}"]) from error
        return listen if listen.startswith("unix:") else f"{listen.rpartition(':')[0]}:{port}"

    def _observe_from_any_thread(self) -> Observe:
        """The engine looks for new certificates on a thread of its own."""
        loop = asyncio.get_running_loop()

        def observe(event: Event) -> None:
            loop.call_soon_threadsafe(self._observe, event)

        return observe

    def _handler(self, method: Method) -> "grpc.RpcMethodHandler[bytes, bytes]":
        if method.unary is not None:
            return grpc.unary_unary_rpc_method_handler(self._unary(method, method.unary))
        if method.stream is not None:
            return grpc.unary_stream_rpc_method_handler(self._stream(method, method.stream))
        raise ValueError(f"{method.service}/{method.name} is served by nothing")

    def _unary(self, method: Method, serve: ServeUnary) -> Callable[[bytes, _Context], Awaitable[bytes]]:
        async def handle(data: bytes, context: _Context) -> bytes:
            async def reply(request: Message, inbound: Inbound) -> bytes:
                return (await serve(request, inbound)).SerializeToString()

            return await self._serve(method, data, context, reply)

        return handle

    def _stream(self, method: Method, serve: ServeStream) -> Callable[[bytes, _Context], Awaitable[None]]:
        async def handle(data: bytes, context: _Context) -> None:
            async def send(message: Message) -> None:
                await context.write(message.SerializeToString())

            async def pieces(request: Message, inbound: Inbound) -> bytes:
                await serve(request, inbound, send)
                return b""

            await self._serve(method, data, context, pieces)

        return handle

    async def _serve(
        self, method: Method, data: bytes, context: _Context, answer: Callable[[Message, Inbound], Awaitable[bytes]]
    ) -> bytes:
        """Decode, answer, report; the one place where failures become a status."""
        inbound = self._inbound(context)
        self._active += 1
        self._idle.clear()
        try:
            self._check_not_stopping()
            inbound.caller = self._identity.of(inbound.metadata, lambda: _certificate_names(context))
            reply = await answer(_decode(method, data), inbound)
        except asyncio.CancelledError:
            self._report(method, inbound, "CANCELLED")
            raise
        except Exception as error:  # noqa: BLE001  whatever it is, the caller is told in the terms of the contract
            failure = self._failure(error, method, inbound)
        else:
            self._report(method, inbound, "OK")
            return reply
        finally:
            self._active -= 1
            if not self._active:
                self._idle.set()
        self._report(method, inbound, status.code_name(failure.code))
        return await context.abort(_STATUS[failure.code], failure.sentence, failure.trailers)

    def _check_not_stopping(self) -> None:
        """What is sent within a round trip of HTTP/2's goodbye still arrives."""
        if self._stopping:
            raise Stopping(error_pb2.ERROR_REASON_SHUTTING_DOWN, "this node is shutting down; nothing was sent")

    def _inbound(self, context: _Context) -> Inbound:
        arrived_s = self._clock.monotonic_s()
        remaining_s: float | None = context.time_remaining()  # None: the caller set no deadline
        return Inbound(
            request_id=new_identifier(now_ms=int(self._clock.wall_s() * 1000)),
            arrived_s=arrived_s,
            deadline=Deadline() if remaining_s is None else Deadline(arrived_s + remaining_s),
            metadata=lambda: _metadata(context),
        )

    def _failure(self, error: Exception, method: Method, inbound: Inbound) -> status.Failure:
        if not isinstance(error, CallError):
            self._observe(
                DefectFound(
                    call_id=inbound.request_id,
                    where=f"{method.service}/{method.name}",
                    kind=type(error).__qualname__,
                    traceback=_frames(error),
                )
            )
            sentence = f"a defect of the node; please report the request id {inbound.request_id}"
            error = CallError(error_pb2.ERROR_REASON_INTERNAL, sentence)
        return status.failure(error, request_id=inbound.request_id, random=self._random)

    def _report(self, method: Method, inbound: Inbound, code: str) -> None:
        duration_s = self._clock.monotonic_s() - inbound.arrived_s
        self._observe(RpcFinished(service=method.service, method=method.name, code=code, duration_s=duration_s))


def _metadata(context: _Context) -> Metadata:
    return tuple(context.invocation_metadata() or ())


def _certificate_names(context: _Context) -> list[str]:
    """The names in the caller's certificate, which the engine has verified: the common name, then the others."""
    shown = context.auth_context() or {}
    names = [*shown.get("x509_common_name", ()), *shown.get("x509_subject_alternative_name", ())]
    return [name.decode("utf-8", "replace") for name in names]


def _frames(error: BaseException) -> str:
    """Files, lines and functions; never the text of an exception, which may quote a prompt."""
    text = f"{type(error).__qualname__}\n" + "".join(traceback.format_tb(error.__traceback__))
    if isinstance(error, BaseExceptionGroup):
        text += "".join(_frames(inner) for inner in error.exceptions)
    return text


def _decode(method: Method, data: bytes) -> Message:
    try:
        return method.request_type.FromString(data)
    except DecodeError:
        name = method.request_type.DESCRIPTOR.full_name
        raise Rejected(
            error_pb2.ERROR_REASON_INVALID_REQUEST,
            f"the request is no {name}; was it made from another version of the .proto files, or is a text not UTF-8?",
        ) from None


def _options(config: IngressConfig) -> list[tuple[str, int]]:
    def ms(seconds: float) -> int:
        return min(round(seconds * 1000), 2**31 - 1)

    return [
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", config.max_request_bytes),
        ("grpc.max_send_message_length", -1),  # an answer is bounded by upstream.max_response_bytes
        ("grpc.keepalive_time_ms", ms(config.keepalive_s)),
        ("grpc.keepalive_timeout_ms", ms(config.keepalive_timeout_s)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", ms(config.min_ping_interval_s)),
        ("grpc.max_connection_idle_ms", ms(config.max_connection_idle_s)),
        ("grpc.max_connection_age_ms", ms(config.max_connection_age_s)),
        ("grpc.max_connection_age_grace_ms", ms(config.max_connection_age_grace_s)),
        ("grpc.max_concurrent_streams", config.max_streams_per_connection),
    ]
