"""POST /chat/completions: read, check, decide, admit, answer.

A unary call without waits and faults is answered in the same turn of the loop, without a task: that is the hot path of
benchmarks. Everything that waits is returned as work.
"""

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from .batch_chat import BatchChatRules
from .chat_request import ChatRequest
from .completion import Choice, Completion, complete, is_repeatable, prompt_pieces, prompt_tokens_of
from .errors import ApiError
from .host import Work
from .models import find_model
from .origin import Kind
from .pace import Pace, Paces
from .prompt_cache import PromptCache
from .rates.judge import Admission, RateJudge
from .reply import Reply
from .transaction import Transaction
from .validation import check, refuse

_DECODER: Final = msgspec.json.Decoder(ChatRequest)
_ENCODER: Final = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatParts:
    """What the chat handlers use."""

    seed: int
    sampling: bool
    paces: Paces
    rates: RateJudge
    cache: PromptCache
    tokens_per_chunk: int
    batch_chat: BatchChatRules
    clock: Callable[[], float]


def read_chat(transaction: Transaction) -> str | None:
    """Decode the body into the transaction; the sentence says what is wrong with it."""
    try:
        chat = _DECODER.decode(transaction.request.body)
    except msgspec.DecodeError as error:
        return str(error)
    transaction.chat = chat
    transaction.entry.model = chat.model
    transaction.entry.stream = bool(chat.stream)
    transaction.entry.content_sha256 = hashlib.sha256(_ENCODER.encode(chat.messages)).hexdigest()
    return None


def decide(transaction: Transaction, parts: ChatParts, problem: str | None) -> ApiError | None:
    """Decide the completion, or say why there is none."""
    chat = transaction.chat
    if chat is None:
        return refuse(f"The request body is not a valid chat request: {problem}")
    if transaction.origin.kind is not Kind.LIVE and chat.stream:
        return refuse("Streaming is not supported in batch. Please leave out the stream parameter or set it to false.")
    if transaction.origin.kind is Kind.BATCH_CHAT and (error := parts.batch_chat.check(chat.model)) is not None:
        return error
    model = find_model(chat.model)
    if model is None:
        text = f"The model `{chat.model}` does not exist or you do not have access to it."
        return refuse(text, name="model_not_found")
    prompt_tokens = prompt_tokens_of(chat)
    if (error := check(chat, model, prompt_tokens)) is not None:
        return error
    variant = transaction.entry.seq if parts.sampling and not is_repeatable(chat) else 0
    completion = complete(chat, model, seed=parts.seed, prompt_tokens=prompt_tokens, variant=variant)
    if transaction.fault is not None and transaction.fault.kind == "empty_answer":
        empty = Choice(reasoning=[], content=[], calls=[], finish_reason="stop")
        completion = Completion(prompt_tokens=prompt_tokens, choices=[empty])
    transaction.completion = completion
    transaction.entry.prompt_tokens = prompt_tokens
    return None


def admit(transaction: Transaction, parts: ChatParts, *, patient: bool = False) -> ApiError | None:
    """Let what is decided pass the rate limits, and look it up in the context cache; None: go on.

    A patient call that the growth rule keeps out will ask again, and is not on record as refused.
    """
    chat, completion = transaction.chat, transaction.completion
    if chat is None or completion is None or not transaction.origin.limited:
        return None
    admission = parts.rates.admit(
        chat.model, prompt=completion.prompt_tokens, output=completion.completion_tokens, patient=patient
    )
    if isinstance(admission, ApiError):
        return admission
    if isinstance(admission, Admission):
        transaction.admitted(admission)
    if parts.cache.active:
        transaction.entry.cached_tokens = parts.cache.use(chat.model, prompt_pieces(chat), now_s=parts.clock())
    return None


def usage_of(transaction: Transaction, completion: Completion) -> dict[str, Any]:
    """The `usage` object."""
    prompt, output = completion.prompt_tokens, completion.completion_tokens
    details: dict[str, int] = {"text_tokens": output - completion.reasoning_tokens}
    if completion.reasoning_tokens:
        details["reasoning_tokens"] = completion.reasoning_tokens
    return {
        "prompt_tokens": prompt,
        "completion_tokens": output,
        "total_tokens": prompt + output,
        "prompt_tokens_details": {"cached_tokens": transaction.entry.cached_tokens, "text_tokens": prompt},
        "completion_tokens_details": details,
    }


def _message(choice: Choice) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": "".join(choice.content)}
    if choice.reasoning:
        message["reasoning_content"] = "".join(choice.reasoning)
    if choice.calls:
        message["tool_calls"] = [
            {
                "index": index,
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for index, call in enumerate(choice.calls)
        ]
    return message


def unary_body(transaction: Transaction, completion: Completion, *, finish_reason: str | None = "") -> bytes:
    """The `chat.completion` object; `finish_reason` replaces the true one unless it is empty."""
    choices = [
        {
            "message": _message(choice),
            "finish_reason": choice.finish_reason if finish_reason == "" else finish_reason,
            "index": index,
            "logprobs": None,
        }
        for index, choice in enumerate(completion.choices)
    ]
    answer = {
        "choices": choices,
        "object": "chat.completion",
        "usage": usage_of(transaction, completion),
        "created": int(transaction.arrived),
        "system_fingerprint": None,
        "model": transaction.entry.model,
        "id": f"chatcmpl-{transaction.request_id}",
    }
    return _ENCODER.encode(answer)


def chat_reply(transaction: Transaction, *, finish_reason: str | None = "") -> Reply:
    """The decided completion as one answer."""
    completion = transaction.completion
    assert completion is not None  # noqa: S101 - `decide` has set it
    return Reply(
        body=unary_body(transaction, completion, finish_reason=finish_reason),
        prompt_tokens=completion.prompt_tokens,
        tokens=completion.completion_tokens,
    )


def computing_s(transaction: Transaction, pace: Pace) -> float:
    """How long the model needs for the decided completion, without jitter."""
    completion = transaction.completion
    assert completion is not None  # noqa: S101 - `decide` has set it
    first_s = pace.first_token_s(completion.prompt_tokens - transaction.entry.cached_tokens)
    return pace.latency_s + first_s + pace.token_s * completion.completion_tokens


def answer_unary(transaction: Transaction, parts: ChatParts) -> Work | None:
    """Answer now, or after the time that a model would need; a batch has a pace of its own."""
    pace = parts.paces.of(transaction.entry.model)
    if transaction.origin.kind is Kind.BATCH_FILE or (pace.immediate and not transaction.queued):
        transaction.answer(chat_reply(transaction))
        return None
    return _answer_later(transaction, parts, pace)


async def _answer_later(transaction: Transaction, parts: ChatParts, pace: Pace) -> None:
    random = pace.random_for(transaction.entry.seq)
    whole_s = pace.spread(computing_s(transaction, pace), random)
    if transaction.queued and not await parts.batch_chat.turn_comes(transaction, whole_s):
        return
    await asyncio.sleep(whole_s)
    transaction.answer(chat_reply(transaction))
