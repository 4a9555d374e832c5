"""A failed RPC as it came over the wire: the three copies of the facts, each read by itself.

Neither the daemon's nor the client's own code has a part in the reading, so a test that compares the copies compares
what any other client would see.
"""

from collections.abc import AsyncIterable, Awaitable
from dataclasses import dataclass
from typing import TypeVar

import grpc.aio
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

Detail = TypeVar("Detail", bound=Message)
Piece = TypeVar("Piece")


@dataclass(frozen=True, slots=True, kw_only=True)
class RpcFailure:
    """What a client is told.

    Attributes:
        code: Name of the status code.
        sentence: Of the status.
        trailers: The ASCII trailers, and those in binary form.
    """

    code: str
    sentence: str
    trailers: dict[str, str | bytes]

    @classmethod
    def of(cls, error: grpc.aio.AioRpcError) -> "RpcFailure":
        """Read an error of the library."""
        trailers = dict(error.trailing_metadata() or ())
        return cls(code=error.code().name, sentence=error.details() or "", trailers=trailers)

    @property
    def reason(self) -> str:
        return str(self.trailers.get("edge-reason", ""))

    @property
    def possibly_billed(self) -> bool:
        return self.trailers.get("edge-possibly-billed") == "1"

    @property
    def pushback_ms(self) -> int:
        return int(self.trailers["grpc-retry-pushback-ms"])

    @property
    def status(self) -> status_pb2.Status:
        """The binary copy."""
        data = self.trailers["grpc-status-details-bin"]
        assert isinstance(data, bytes)
        return status_pb2.Status.FromString(data)

    @property
    def info(self) -> error_details_pb2.ErrorInfo:
        (info,) = self._details(error_details_pb2.ErrorInfo)
        return info

    @property
    def retry_delay_ms(self) -> int | None:
        found = self._details(error_details_pb2.RetryInfo)
        return found[0].retry_delay.ToMilliseconds() if found else None

    @property
    def violations(self) -> dict[str, str]:
        """Description by field."""
        found = self._details(error_details_pb2.BadRequest)
        return {each.field: each.description for bad in found for each in bad.field_violations}

    def _details(self, kind: type[Detail]) -> list[Detail]:
        found = []
        for packed in self.status.details:
            detail = kind()
            if packed.Unpack(detail):
                found.append(detail)
        return found


async def failure_of(call: Awaitable[object] | AsyncIterable[object]) -> RpcFailure:
    """The failure that a call, unary or streamed, has to end with."""
    if isinstance(call, AsyncIterable):
        return (await broken_off(call))[1]
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return RpcFailure.of(error)
    raise AssertionError("the call succeeded")


async def broken_off(call: AsyncIterable[Piece]) -> tuple[list[Piece], RpcFailure]:
    """What a stream delivered, and the failure that it has to end with."""
    pieces: list[Piece] = []
    try:
        async for piece in call:
            pieces.append(piece)  # noqa: PERF401  what came before the failure counts
    except grpc.aio.AioRpcError as error:
        return pieces, RpcFailure.of(error)
    raise AssertionError(f"the stream ended well, with {len(pieces)} pieces")
