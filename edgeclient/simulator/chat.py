"""POST /chat/completions: read, check, decide, answer.

A unary call without waits and faults is answered in the same turn of the loop, without a task: that is the hot path of
benchmarks. Everything that waits is returned as work.
"""

import asyncio
import time
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from .chat_request import ChatRequest
from .completion import Choice, Completion, complete, prompt_tokens_of
from .host import Work
from .models import find_model
from .pace import Pace
from .rate_limit import RateLimit
from .transaction import Transaction
from .validation import check, refuse

_DECODER: Final = msgspec.json.Decoder(ChatRequest)
_ENCODER: Final = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatParts:
    """What the chat handlers use."""

    seed: int
    pace: Pace
    rates: RateLimit
    tokens_per_chunk: int


def read_chat(transaction: Transaction) -> str | None:
    """Decode the body into the transaction; the sentence says what is wrong with it."""
    try:
        chat = _DECODER.decode(transaction.request.body)
    except msgspec.DecodeError as error:
        return str(error)
    transaction.chat = chat
    transaction.entry.model = chat.model
    transaction.entry.stream = bool(chat.stream)
    return None


def prepare(transaction: Transaction, parts: ChatParts, problem: str | None) -> bool:
    """Decide the completion; False if the request was refused instead."""
    chat = transaction.chat
    if chat is None:
        transaction.refuse(refuse(f"The request body is not a valid chat request: {problem}"))
        return False
    model = find_model(chat.model)
    if model is None:
        text = f"The model `{chat.model}` does not exist or you do not have access to it."
        transaction.refuse(refuse(text, name="model_not_found"))
        return False
    prompt_tokens = prompt_tokens_of(chat)
    if (error := check(chat, model, prompt_tokens)) is not None:
        transaction.refuse(error)
        return False
    completion = complete(chat, model, seed=parts.seed, prompt_tokens=prompt_tokens)
    if transaction.fault is not None and transaction.fault.kind == "empty_answer":
        empty = Choice(reasoning=[], content=[], calls=[], finish_reason="stop")
        completion = Completion(prompt_tokens=prompt_tokens, choices=[empty])
    if not parts.rates.unlimited:
        tokens = prompt_tokens + completion.completion_tokens
        if (error := parts.rates.admit(model.name, tokens=tokens, now_s=time.monotonic())) is not None:
            transaction.refuse(error)
            return False
    transaction.completion = completion
    transaction.entry.prompt_tokens = prompt_tokens
    return True


def usage_of(completion: Completion) -> dict[str, Any]:
    """The `usage` object."""
    prompt, output = completion.prompt_tokens, completion.completion_tokens
    details: dict[str, int] = {"text_tokens": output - completion.reasoning_tokens}
    if completion.reasoning_tokens:
        details["reasoning_tokens"] = completion.reasoning_tokens
    return {
        "prompt_tokens": prompt,
        "completion_tokens": output,
        "total_tokens": prompt + output,
        "prompt_tokens_details": {"cached_tokens": 0, "text_tokens": prompt},
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
        "usage": usage_of(completion),
        "created": int(transaction.arrived),
        "system_fingerprint": None,
        "model": transaction.entry.model,
        "id": f"chatcmpl-{transaction.request_id}",
    }
    return _ENCODER.encode(answer)


def answer_unary(transaction: Transaction, parts: ChatParts) -> Work | None:
    """Answer now, or after the time that a model would need."""
    if not parts.pace.immediate:
        return _answer_later(transaction, parts.pace)
    _answer_now(transaction)
    return None


def _answer_now(transaction: Transaction) -> None:
    completion = transaction.completion
    assert completion is not None  # noqa: S101 - `prepare` has set it
    transaction.answer(
        unary_body(transaction, completion),
        prompt_tokens=completion.prompt_tokens,
        tokens=completion.completion_tokens,
    )


async def _answer_later(transaction: Transaction, pace: Pace) -> None:
    completion = transaction.completion
    assert completion is not None  # noqa: S101 - `prepare` has set it
    random = pace.random_for(transaction.entry.seq)
    whole_s = pace.latency_s + pace.ttft_s + pace.token_s * completion.completion_tokens
    await asyncio.sleep(pace.spread(whole_s, random))
    _answer_now(transaction)
