"""POST /embeddings: repeatable unit vectors, so equal texts have similarity one and different texts about zero."""

import math
from random import Random
from typing import Any, Final

import msgspec

from .errors import ERRORS, ApiError
from .models import EMBEDDING_MODELS
from .reply import Reply
from .tokens import count_tokens
from .transaction import Transaction
from .validation import refuse

INPUTS_MAX: Final = 10
DIMENSIONS_MAX: Final = 2048


class EmbeddingsRequest(msgspec.Struct, frozen=True):
    """The fields of the body that matter."""

    model: str
    input: str | list[str]
    dimensions: int | None = None
    encoding_format: str | None = None


def _vector(text: str, *, seed: int, dimensions: int) -> list[float]:
    random = Random(f"{seed}/embedding/{text}")  # noqa: S311 - repeatable, no secret
    raw = [random.random() - 0.5 for _ in range(dimensions)]
    length = math.sqrt(sum(value * value for value in raw)) or 1.0
    return [round(value / length, 8) for value in raw]


def answer_embeddings(transaction: Transaction, *, seed: int) -> Reply | ApiError:
    """Check and answer."""
    try:
        asked = msgspec.json.decode(transaction.request.body, type=EmbeddingsRequest)
    except msgspec.DecodeError as error:
        return refuse(f"The request body is not a valid embeddings request: {error}")
    transaction.entry.model = asked.model
    usual = EMBEDDING_MODELS.get(asked.model)
    texts = [asked.input] if isinstance(asked.input, str) else asked.input
    dimensions = asked.dimensions or usual or 0
    if usual is None:
        return ERRORS["model_not_found"]
    if not 1 <= len(texts) <= INPUTS_MAX:
        return refuse(f"batch size is invalid, it should be between 1 and {INPUTS_MAX}.")
    if not 1 <= dimensions <= DIMENSIONS_MAX:
        return refuse(f"Range of dimensions should be [1, {DIMENSIONS_MAX}]")
    tokens = sum(count_tokens(text) for text in texts)
    data: list[dict[str, Any]] = [
        {"object": "embedding", "index": index, "embedding": _vector(text, seed=seed, dimensions=dimensions)}
        for index, text in enumerate(texts)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    body = {"data": data, "model": asked.model, "object": "list", "usage": usage, "id": transaction.request_id}
    return Reply(body=msgspec.json.encode(body), prompt_tokens=tokens)
