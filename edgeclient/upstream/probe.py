"""Asks the provider something that costs nothing, as long as it is not known that the way works.

`GET /models` passes the same DNS, TCP, TLS, proxy and key as a chat and is not billed. It runs at the start, so that a
wrong key or a missing route is known before the first device calls, and then until the uplink is online; traffic that
works makes it unnecessary. Pauses are jittered by a quarter: nodes of one site lose their link at the same moment and
must not ask for it in step.

A refused key is no fault of the way: the uplink is online, and the refusal is told as `KeyRefused` and kept in
`credentials_problem`.
"""

import asyncio
from random import Random

from edgeclient.config.schema import UpstreamConfig
from edgeclient.core.errors import Blocked, CallError, Reason, Unavailable
from edgeclient.core.events import AttemptFinished, KeyRefused, Uplink
from edgeclient.core.ports import Clock, Observe
from edgeclient.upstream.exchange import Incoming, Outgoing
from edgeclient.upstream.failures import failure, parse_error
from edgeclient.upstream.transport import Transport
from edgeclient.upstream.uplink import UplinkWatch

_UNAUTHORIZED = (401, 403)
_BODY_BYTES = 64 * 1024
_JITTER = 0.25


class Probe:
    """Keeps an uplink's state fresh; see the module. `run` is a task of whoever wires it.

    Args:
        config: How often, and how long an answer may take.
        transport: The way to the provider.
        uplink: Is told what the probe shows.
        observe: Takes `AttemptFinished` and `KeyRefused`.
        clock: Measures, and sleeps between probes.
        rng: Draws the jitter.

    Attributes:
        credentials_problem: Why the provider refused the key when it was last asked; "" if it did not.
    """

    def __init__(
        self,
        config: UpstreamConfig,
        transport: Transport,
        uplink: UplinkWatch,
        *,
        observe: Observe,
        clock: Clock,
        rng: Random,
    ) -> None:
        self.credentials_problem = ""
        self._config = config
        self._transport = transport
        self._uplink = uplink
        self._observe = observe
        self._clock = clock
        self._rng = rng

    async def run(self) -> None:
        """Probe whenever the way is not known to work. Ends only by cancellation."""
        while True:
            await self._uplink.wait_not_online()
            await self.once()
            if self._uplink.state is not Uplink.ONLINE:
                spread = 1 + _JITTER * (2 * self._rng.random() - 1)
                await self._clock.sleep(self._config.probe_interval_s * spread)

    async def once(self) -> bool:
        """Probe now; whether the way works and the key is taken."""
        begun_s = self._clock.monotonic_s()
        status, protocol, code, reason = 0, "", "", ""
        try:
            async with (
                asyncio.timeout(self._config.connect_timeout_s + self._config.keepalive_timeout_s),
                self._transport.exchange(Outgoing(method="GET", path="/models")) as incoming,
            ):
                status, protocol = incoming.status, incoming.protocol
                code, reason = await self._judge(incoming)
        except TimeoutError:
            reason = Reason.Name(Reason.ERROR_REASON_UPSTREAM_TIMEOUT).removeprefix("ERROR_REASON_")
            self._uplink.probe_lost(reason)
        except Blocked as error:
            reason = error.reason_name
            self._take_blocked(error)
        except CallError as error:
            reason = error.reason_name
            self._uplink.probe_lost(reason, self._transport.reword(error.summary))
        now_s = self._clock.monotonic_s()
        self._observe(
            AttemptFinished(
                call_id="",
                target=self._config.name,
                model="",
                reason=reason,
                http_status=status,
                upstream_code=code,
                protocol=protocol,
                duration_s=now_s - begun_s,
                first_byte_s=now_s - begun_s if status else None,
            )
        )
        return bool(status) and not reason

    async def _judge(self, incoming: Incoming) -> tuple[str, str]:
        """Take in an answer; returns the provider's error code and the name of the reason, "" for success.

        Any answer of the provider will do, an endpoint without `/models` (404) included; a sign-in page will not.
        """
        body = await incoming.read_until(_BODY_BYTES)
        content_type = incoming.header("content-type")
        if not incoming.is_refusal and "html" not in content_type:
            self._credentials("")
            self._uplink.probe_answered()
            return "", ""
        problem = parse_error(http_status=incoming.status, content_type=content_type, body=body)
        error = failure(problem)
        if isinstance(error, Unavailable) and error.reason == Reason.ERROR_REASON_UPLINK_OFFLINE:
            self._uplink.probe_lost(error.reason_name, self._transport.reword(error.summary))
            return problem.code, error.reason_name
        refused = error.reason == Reason.ERROR_REASON_UPSTREAM_CREDENTIALS
        self._credentials(self._transport.reword(error.summary) if refused else "")
        self._uplink.probe_answered()
        return problem.code, error.reason_name if refused or incoming.status not in _HARMLESS else ""

    def _credentials(self, problem: str) -> None:
        """Keep what is wrong with the key; told when it begins, not with each probe."""
        if problem and problem != self.credentials_problem:
            self._observe(KeyRefused(target=self._config.name, problem=problem))
        self.credentials_problem = problem

    def _take_blocked(self, error: Blocked) -> None:
        """There is no key to send, or the endpoint cannot be spoken to."""
        if error.reason == Reason.ERROR_REASON_UPSTREAM_CREDENTIALS:
            self._credentials(self._transport.reword(error.summary))
        else:
            self._uplink.probe_lost(error.reason_name, self._transport.reword(error.summary))


_HARMLESS = (404, 405)  # relays need not serve /models
