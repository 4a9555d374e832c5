"""The lines of the output and the error file of a batch.

An error line has a response where the request was run and failed, and none where it never ran. The order is that in
which lines were done, which is not the order of the input.
"""

from typing import Any, Final

import msgspec

from edgeclient.simulator.captured import CapturedExchange

from .input_file import InputLine
from .states import Status

_OK: Final = 200
_INTERNAL: Final = ("internal_error", "An internal error has occurred, please try again.")
NOT_RUN: Final = {
    Status.EXPIRED: ("batch_expired", "This request could not be executed before the completion window expired."),
    Status.CANCELLED: ("batch_cancelled", "This request was not executed: the batch was cancelled."),
}
_encode = msgspec.json.Encoder().encode


def result_line(line: InputLine, answer: CapturedExchange, request_id: str) -> tuple[bool, bytes]:
    """The line for what came of a request; the first value tells success."""
    body = _json_of(bytes(answer.body)) if answer.ended else None
    if answer.status == _OK and body is not None:
        response = {"status_code": _OK, "request_id": request_id, "body": body}
        return True, _line(request_id, line.custom_id, response, None)
    status = answer.status if answer.status > _OK else 500
    code, message = _reason(body)
    response = {"status_code": status, "request_id": request_id, "body": body}
    return False, _line(request_id, line.custom_id, response, {"code": code, "message": message})


def not_run_line(line: InputLine, request_id: str, why: Status) -> bytes:
    """The line for a request that never ran."""
    code, message = NOT_RUN[why]
    return _line(request_id, line.custom_id, None, {"code": code, "message": message})


def _line(request_id: str, custom_id: str, response: dict[str, Any] | None, error: dict[str, str] | None) -> bytes:
    return _encode({"id": request_id, "custom_id": custom_id, "response": response, "error": error}) + b"\n"


def _json_of(body: bytes) -> dict[str, Any] | None:
    """The body of an answer, if it is a JSON object."""
    try:
        value = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return None
    return value if isinstance(value, dict) else None


def _reason(body: dict[str, Any] | None) -> tuple[str, str]:
    """Code and message of a refusal, in either shape; an answer without is an internal error."""
    told = body.get("error", body) if body is not None else {}
    if isinstance(told, dict) and told.get("code"):
        return str(told["code"]), str(told.get("message", ""))
    return _INTERNAL
