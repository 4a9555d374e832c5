"""The dry run: model `batch-test-model` at /v1/chat/ds-test, in a batch file only. Free, and always the same answer."""

from typing import Final

import msgspec

from edgeclient.simulator.chat_request import ChatRequest
from edgeclient.simulator.completion import prompt_tokens_of
from edgeclient.simulator.errors import ApiError
from edgeclient.simulator.reply import Reply
from edgeclient.simulator.tokens import count_tokens
from edgeclient.simulator.transaction import Transaction
from edgeclient.simulator.validation import refuse

OPERATION: Final = "chat/ds-test"
ANSWER: Final = "This is a test result."


def answer_dry_run(transaction: Transaction) -> Reply | ApiError:
    """The answer that stands for every request."""
    try:
        chat = msgspec.json.decode(transaction.request.body, type=ChatRequest)
    except msgspec.DecodeError as error:
        return refuse(f"The request body is not a valid chat request: {error}")
    transaction.entry.model = chat.model
    prompt, output = prompt_tokens_of(chat), count_tokens(ANSWER)
    message = {"role": "assistant", "content": ANSWER}
    body = {
        "choices": [{"finish_reason": "stop", "index": 0, "message": message}],
        "object": "chat.completion",
        "usage": {"prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output},
        "created": int(transaction.arrived),
        "model": chat.model,
        "id": f"chatcmpl-{transaction.request_id}",
    }
    return Reply(body=msgspec.json.encode(body), prompt_tokens=prompt, tokens=output)
