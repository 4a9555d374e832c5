"""The synchronous batch endpoint: one request, silence for up to an hour, the whole answer, half the price.

The silence bears no sign of life, so nothing but the end of the wait is a limit, and a wait that is cut off has perhaps
been billed. It has a transport of its own: its host is another one, and a connection that is silent there says nothing
about the way to the live endpoint.
"""

import asyncio
from collections.abc import Callable

from edgeclient.config.schema import UpstreamConfig
from edgeclient.core.call import Call, Reply
from edgeclient.core.errors import CallError
from edgeclient.core.events import AttemptFinished
from edgeclient.core.half_price import FinishAnswer
from edgeclient.core.ports import Clock, Observe
from edgeclient.upstream.answer import decode_answer
from edgeclient.upstream.exchange import Incoming, Outgoing
from edgeclient.upstream.failures import unreadable
from edgeclient.upstream.patience import Patience
from edgeclient.upstream.refusal import refusal
from edgeclient.upstream.request_codec import encode_request
from edgeclient.upstream.transport import Transport


class BatchChat:
    """A handler that asks the endpoint once; see the module.

    Args:
        config: As `upstream`, but for the base URL and a total time that lets an answer take its hour.
        transport: The way there.
        finish: Completes an answer and tells what it cost.
        target: Name of what answers.
        observe: Takes `AttemptFinished`, of nobody: what it cost is told by `BatchAnswered`.
        clock: Measures.
        serves: What the model with an id is called there.
    """

    def __init__(
        self,
        config: UpstreamConfig,
        transport: Transport,
        *,
        finish: FinishAnswer,
        target: str,
        observe: Observe,
        clock: Clock,
        serves: Callable[[str], str | None] = str,
    ) -> None:
        self._config = config
        self._transport = transport
        self._finish = finish
        self._target = target
        self._observe = observe
        self._clock = clock
        self._serves = serves

    async def __call__(self, call: Call) -> Reply:
        """Answer the call by one attempt, or raise what happened to it."""
        call.attempt_count += 1
        call.target = self._target
        begun_s = self._clock.monotonic_s()
        seen: list[Incoming] = []
        reason = "INTERNAL"
        try:
            reply = await self._asked(call, seen, begun_s)
        except CallError as error:
            reason = error.reason_name
            raise
        except asyncio.CancelledError:
            reason = "CANCELLED"
            raise
        else:
            reason = ""
            return reply
        finally:
            self._observe(
                AttemptFinished(
                    call_id=call.id,
                    target=self._config.name,
                    model=call.model.id if call.model is not None else "",
                    reason=reason,
                    http_status=seen[0].status if seen else 0,
                    upstream_code="",
                    protocol=seen[0].protocol if seen else "",
                    duration_s=self._clock.monotonic_s() - begun_s,
                    first_byte_s=None,
                )
            )

    async def _asked(self, call: Call, seen: list[Incoming], begun_s: float) -> Reply:
        if call.model is None:
            raise RuntimeError("the validation stage sets the model of every call")
        patience = Patience(self._config, call=call, now_s=begun_s, streamed=False)
        sent_s: list[float] = []
        most_bytes = self._config.max_response_bytes

        def sent() -> None:
            sent_s.append(self._clock.monotonic_s())
            patience.sent()

        outgoing = Outgoing(
            method="POST",
            path="/chat/completions",
            body=encode_request(call.request, call.model, stream=False, name=self._serves(call.model.id) or ""),
            request_id=call.id,
            on_sent=sent,
        )
        try:
            async with patience, self._transport.exchange(outgoing) as incoming:
                seen.append(incoming)
                if incoming.is_refusal:
                    error, _ = await refusal(incoming, wall_s=self._clock.wall_s())
                    raise error
                body = await incoming.read_until(most_bytes + 1)
                if len(body) > most_bytes:
                    raise unreadable(f"it is longer than upstream.max_response_bytes, {most_bytes}")
                request_id = incoming.header("x-request-id")
        finally:
            if sent_s:
                call.upstream_s += self._clock.monotonic_s() - sent_s[0]
        response = decode_answer(body, model=call.model, include_reasoning=True).response
        self._observe(self._finish(call, response))
        return Reply(response=response, upstream_request_id=request_id)
