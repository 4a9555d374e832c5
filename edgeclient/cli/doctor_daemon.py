"""Asks the daemon that runs here, if one does: by gRPC what it is, by its admin port whether it is ready."""

import asyncio
import json
from dataclasses import dataclass
from http import HTTPStatus

import grpc
import grpc.aio

from edgeclient.cli.doctor_port import reachable
from edgeclient.cli.own_channel import own_way
from edgeclient.config.schema import IngressConfig
from edgeclient.v1 import node_pb2, node_pb2_grpc

_UNIX = "unix:"
_STATUS_S = 1.5
_READY_S = 1.0
_PAGE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonFacts:
    """What was found of the daemon.

    Attributes:
        answers: Something at the port for devices, or the admin port, answers as a daemon of ours does.
        status: What it says of itself; None: it does not, or does not tell strangers.
        refusal: Name of the gRPC status with which it did not say.
        is_guarded: It is right that it does not tell: it wants a token or a client certificate.
        unready: What it is not ready for, with the reason of each; None: its admin port was not reached.
    """

    answers: bool = False
    status: node_pb2.NodeStatus | None = None
    refusal: str = ""
    is_guarded: bool = False
    unready: tuple[str, ...] | None = None


async def daemon_facts(ingress: IngressConfig, admin: str) -> DaemonFacts:
    """Ask both ports; never raises for a failure."""
    (status, refusal), unready = await asyncio.gather(_status(ingress), _unready(admin))
    answers = status is not None or refusal in _OURS or unready is not None
    guarded = refusal in _OURS or bool(ingress.tls_client_ca_file)
    return DaemonFacts(answers=answers, status=status, refusal=refusal, is_guarded=guarded, unready=unready)


_OURS = ("UNAUTHENTICATED", "PERMISSION_DENIED")  # who refuses with these speaks gRPC, and knows the method


async def _status(config: IngressConfig) -> tuple[node_pb2.NodeStatus | None, str]:
    try:
        channel = _channel(config)
    except (OSError, ValueError):
        return None, "no certificate"
    async with channel:
        try:
            stub: node_pb2_grpc.NodeServiceAsyncStub = node_pb2_grpc.NodeServiceStub(channel)
            answer = await stub.GetNodeStatus(node_pb2.GetNodeStatusRequest(), timeout=_STATUS_S)
        except grpc.aio.AioRpcError as error:
            return None, error.code().name
        return answer.status, ""


def _channel(config: IngressConfig) -> grpc.aio.Channel:
    way = own_way(config)
    if way.credentials is None:
        return grpc.aio.insecure_channel(way.address, options=way.options)
    return grpc.aio.secure_channel(way.address, way.credentials, options=way.options)


async def _unready(admin: str) -> tuple[str, ...] | None:
    if not admin:
        return None
    address = reachable(admin)
    try:
        async with asyncio.timeout(_READY_S):
            page = await _page(address)
    except (OSError, TimeoutError):
        return None
    return unready_of(page)


def unready_of(page: bytes) -> tuple[str, ...] | None:
    """What the answer of /readyz names; None if that is no answer of ours."""
    head, _, body = page.partition(b"\r\n\r\n")
    status = head.split(b" ")[1:2]
    if status not in ([b"%d" % HTTPStatus.OK], [b"%d" % HTTPStatus.SERVICE_UNAVAILABLE]):
        return None
    try:
        checks = json.loads(body)["checks"]
        return tuple(f"{check['name']}: {check['reason']}" for check in checks if not check["ready"])
    except (ValueError, KeyError, TypeError):
        return None


async def _page(address: str) -> bytes:
    if address.startswith(_UNIX):
        reader, writer = await asyncio.open_unix_connection(address.removeprefix(_UNIX))
    else:
        host, _, port = address.rpartition(":")
        reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    try:
        writer.write(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        page = b""
        while len(page) < _PAGE_BYTES and (piece := await reader.read(_PAGE_BYTES)):
            page += piece
        return page
    finally:
        writer.transport.abort()
