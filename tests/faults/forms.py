"""How a device asks, and what it is told: read from the wire, with nothing of the daemon's own code in between."""

import asyncio
from collections.abc import AsyncIterable, Callable
from dataclasses import dataclass, field
from typing import Final

import grpc
import grpc.aio
from faults.house import GUARD_S, House
from faults.kinds import JOBS, Form
from google.rpc import code_pb2
from harness.rpc_failure import RpcFailure

from edgeclient.v1 import chat_pb2, error_pb2, job_pb2

TIMEOUT_S: Final = 6.0  # longer than any time-out of the daemon
MODEL: Final = "qwen-plus"
SHORT_TOKENS: Final = 64
ENDED: Final = ("SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED")


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a device was told.

    Attributes:
        state: OK or the gRPC code of a call; the state of a job.
        reason: As in `edge-reason`; "" for none.
        code: gRPC code that came with the reason; "" for none.
        possibly_billed: It says so.
        delay_s: When a repeat makes sense; None: it does not.
        attempts: As the answer says; None: it does not say.
        text: What was delivered.
        whole: It said why it ended.
        took_s: Time until it was told.
        target: Who answered.
        paid_before: Attempts before the one that answered which may be billed, as the answer says.
        overslept: The job has ended, and the wait for it went on to its own end.
        ids: Under which the cloud may have heard of it.
        copies: Disagreements between the copies of the error.
    """

    state: str
    reason: str = ""
    code: str = ""
    possibly_billed: bool = False
    delay_s: float | None = None
    attempts: int | None = None
    text: str = ""
    whole: bool = False
    took_s: float = 0.0
    target: str = ""
    paid_before: int = 0
    overslept: bool = False
    ids: tuple[str, ...] = ()
    copies: tuple[str, ...] = field(default=())

    @property
    def answered(self) -> bool:
        """There is an answer."""
        return self.state in ("OK", "SUCCEEDED")


def request_of(form: Form, prompt: str, *, key: str = "") -> chat_pb2.ChatRequest:
    """The request of this form."""
    request = chat_pb2.ChatRequest(prompt=prompt, model=MODEL)
    request.timeout.FromMilliseconds(round(TIMEOUT_S * 1000))
    if form is Form.SHORT:
        request.max_tokens = SHORT_TOKENS
    if key and (form is Form.KEYED or form in JOBS):
        request.idempotency_key = key
    return request


async def ask(house: House, form: Form, prompt: str, *, key: str = "") -> Told:
    """A live call of this form, to its end."""
    request = request_of(form, prompt, key=key)
    begun_s = asyncio.get_running_loop().time()

    def took_s() -> float:
        return asyncio.get_running_loop().time() - begun_s

    async with asyncio.timeout(GUARD_S):
        if form is Form.STREAM:
            return await _streamed(house.chat.StreamChat(request), took_s)
        try:
            answer = await house.chat.Chat(request)
        except grpc.aio.AioRpcError as error:
            return _failed(error, took_s=took_s())
    return Told(
        state="OK",
        attempts=answer.attempt_count,
        text=answer.message.content,
        whole=answer.finish_reason != chat_pb2.FINISH_REASON_UNSPECIFIED,
        took_s=took_s(),
        target=answer.target,
        paid_before=answer.possibly_billed_count,
        ids=(answer.id,),
    )


async def _streamed(call: AsyncIterable[chat_pb2.StreamChatResponse], took_s: Callable[[], float]) -> Told:
    pieces: list[chat_pb2.StreamChatResponse] = []
    try:
        async for piece in call:
            pieces.append(piece)  # noqa: PERF401  what came before a failure counts
    except grpc.aio.AioRpcError as error:
        return _failed(error, took_s=took_s(), text="".join(piece.content for piece in pieces))
    return Told(
        state="OK",
        attempts=max((piece.attempt_count for piece in pieces), default=0),
        text="".join(piece.content for piece in pieces),
        whole=bool(pieces) and pieces[-1].finish_reason != chat_pb2.FINISH_REASON_UNSPECIFIED,
        took_s=took_s(),
        target="".join({piece.target for piece in pieces if piece.target}),
        paid_before=max((piece.possibly_billed_count for piece in pieces), default=0),
        ids=tuple({piece.id for piece in pieces if piece.id}),
    )


def _failed(error: grpc.aio.AioRpcError, *, took_s: float, text: str = "") -> Told:
    told = RpcFailure.of(error)
    copies = []
    if "edge-reason" not in told.trailers:
        return Told(state=told.code, code=told.code, took_s=took_s, text=text, copies=("no edge-reason",))
    if told.info.reason != told.reason:
        copies.append(f"the details say {told.info.reason}")
    if (told.pushback_ms if told.pushback_ms >= 0 else None) != told.retry_delay_ms:
        copies.append(f"the details say a delay of {told.retry_delay_ms} ms, the trailer {told.pushback_ms}")
    return Told(
        state=told.code,
        reason=told.reason,
        code=told.code,
        possibly_billed=told.possibly_billed,
        delay_s=None if told.pushback_ms < 0 else told.pushback_ms / 1000,
        text=text,
        took_s=took_s,
        ids=(str(told.trailers.get("edge-request-id", "")),),
        copies=tuple(copies),
    )


async def submit(house: House, form: Form, prompt: str, *, key: str) -> str:
    """Hand a job over; its id."""
    policy = job_pb2.RESEND_POLICY_ONCE if form is Form.JOB_ONCE else job_pb2.RESEND_POLICY_NEVER
    submission = job_pb2.SubmitJobRequest(request=request_of(form, prompt, key=key), resend_policy=policy)
    async with asyncio.timeout(GUARD_S):
        return str((await house.jobs.SubmitJob(submission)).job.id)


async def wait(house: House, job_id: str, *, at_most_s: float) -> Told:
    """The job when it has ended, or as it is after a while."""
    begun_s = asyncio.get_running_loop().time()
    request = job_pb2.WaitJobRequest(job_id=job_id)
    request.timeout.FromMilliseconds(round(at_most_s * 1000))
    async with asyncio.timeout(GUARD_S + at_most_s):
        job = (await house.jobs.WaitJob(request)).job
    took_s = asyncio.get_running_loop().time() - begun_s
    state = job_pb2.JobState.Name(job.state).removeprefix("JOB_STATE_")
    error = job.error
    reason = error_pb2.ErrorReason.Name(error.reason).removeprefix("ERROR_REASON_") if error.reason else ""
    return Told(
        state=state,
        reason=reason,
        code=code_pb2.Code.Name(error.code) if error.code else "",
        possibly_billed=error.possibly_billed,
        delay_s=error.retry_delay.ToMilliseconds() / 1000 if error.HasField("retry_delay") else None,
        attempts=job.attempt_count,
        text=job.response.message.content,
        whole=job.response.finish_reason != chat_pb2.FINISH_REASON_UNSPECIFIED,
        took_s=took_s,
        overslept=state in ENDED and took_s >= at_most_s,
        target=job.response.target,
        paid_before=job.response.possibly_billed_count,
        ids=(job_id,),
    )


async def cancel(house: House, job_id: str) -> None:
    """End a job that would wait too long for this suite."""
    await house.jobs.CancelJob(job_pb2.CancelJobRequest(job_id=job_id))
