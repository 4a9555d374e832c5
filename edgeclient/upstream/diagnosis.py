"""Asks the provider what costs nothing, over the daemon's own engine, for somebody who wants to know what is wrong.

`GET /models` passes the same DNS, TCP, TLS, proxy and key as a chat and is not billed; here its whole answer is told:
status, protocol, the provider's clock, the models, the time it took.
"""

import asyncio
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from msgspec.json import decode

from edgeclient.config.schema import UpstreamConfig
from edgeclient.core.errors import CallError, Reason
from edgeclient.core.ports import Clock, KeySource
from edgeclient.upstream.exchange import Incoming, Outgoing
from edgeclient.upstream.failures import failure, parse_error
from edgeclient.upstream.transport import Transport
from edgeclient.upstream.wire import UNREADABLE

_BODY_BYTES = 4 * 1024 * 1024  # a large relay lists a thousand models with all their facts
_DATE_STEP_S = 1.0  # the header has whole seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class FreeAnswer:
    """What came of a free call.

    Attributes:
        status: HTTP status; 0: there was no answer.
        protocol: ALPN id of the exchange; "" if there was no answer.
        reason: Name of the error reason; "" if the answer is a good one.
        problem: What is wrong, in a sentence without secrets.
        models: Ids that the provider lists; None: it gave no list.
        clock_ahead_s: By how much this node's clock is ahead of the provider's; None: it did not say.
        duration_s: From the request to the end of the answer.
    """

    status: int = 0
    protocol: str = ""
    reason: str = ""
    problem: str = ""
    models: tuple[str, ...] | None = None
    clock_ahead_s: float | None = None
    duration_s: float = 0.0


class FreeCalls:
    """Free calls over one connection; `close` it.

    Args:
        config: The provider and how it is reached.
        key: Gives the API key; None: none is sent.
        clock: Measures.
        environ: Where the proxy is looked up.

    Raises:
        SettingError: A file or URL that the settings name cannot be used.
    """

    def __init__(
        self, config: UpstreamConfig, key: KeySource | None, *, clock: Clock, environ: Mapping[str, str] = os.environ
    ) -> None:
        self._config = config
        self._key = key
        self._clock = clock
        self._environ = environ
        self._transport = self._fresh()

    async def ask(self, *, limit_s: float) -> FreeAnswer:
        """Ask over the connection that there is, or makes one. Never raises for a failure."""
        return await self._ask(self._transport, limit_s)

    async def ask_anew(self, *, limit_s: float) -> FreeAnswer:
        """Ask over a connection of its own."""
        transport = self._fresh()
        try:
            return await self._ask(transport, limit_s)
        finally:
            await transport.close()

    async def close(self) -> None:
        """Close the connection."""
        await self._transport.close()

    def _fresh(self) -> Transport:
        return Transport(self._config, self._key, observe=lambda _: None, clock=self._clock, environ=self._environ)

    async def _ask(self, transport: Transport, limit_s: float) -> FreeAnswer:
        begun_s, begun_wall_s = self._clock.monotonic_s(), self._clock.wall_s()
        try:
            async with (
                asyncio.timeout(limit_s),
                transport.exchange(Outgoing(method="GET", path="/models")) as incoming,
            ):
                body = await incoming.read_until(_BODY_BYTES)
                duration_s = self._clock.monotonic_s() - begun_s
                return _told(incoming, body, duration_s=duration_s, wall_s=begun_wall_s + duration_s / 2)
        except TimeoutError:
            reason = _name(Reason.ERROR_REASON_UPSTREAM_TIMEOUT)
            problem = f"{transport.peer.name} was connected to and gave no answer in {limit_s:.1f} s"
        except CallError as error:
            reason, problem = error.reason_name, error.summary
        return FreeAnswer(reason=reason, problem=problem, duration_s=self._clock.monotonic_s() - begun_s)


def unverified() -> ssl.SSLContext:
    """A context to look at a certificate with. Nothing may be sent over it."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _told(incoming: Incoming, body: bytes, *, duration_s: float, wall_s: float) -> FreeAnswer:
    content_type = incoming.header("content-type")
    reason = problem = ""
    if incoming.is_refusal or "html" in content_type.lower():
        error = failure(parse_error(http_status=incoming.status, content_type=content_type, body=body))
        reason, problem = error.reason_name, error.summary
    return FreeAnswer(
        status=incoming.status,
        protocol=incoming.protocol,
        reason=reason,
        problem=problem,
        models=None if reason else listed(body),
        clock_ahead_s=_ahead_s(incoming.header("date"), wall_s),
        duration_s=duration_s,
    )


def listed(body: bytes) -> tuple[str, ...] | None:
    """The ids in a list of models; None if it is none."""
    try:
        entries = decode(body)["data"]
        return tuple(str(entry["id"]) for entry in entries) or None
    except (*UNREADABLE, KeyError, TypeError):
        return None


def _ahead_s(date: str, wall_s: float) -> float | None:
    try:
        return wall_s - parsedate_to_datetime(date).timestamp() - _DATE_STEP_S / 2
    except (ValueError, OverflowError):
        return None


def _name(reason: Reason.ValueType) -> str:
    return Reason.Name(reason).removeprefix("ERROR_REASON_")
