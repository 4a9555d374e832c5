"""What a person and a script are told about a failed call: sentence, fields, what to do, exit code.

Statuses stand in two tables, by reason where the reason says more than the code, else by code.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from grpc import StatusCode

from edgeclient.cli.exit_codes import ExitCode
from edgeclient.cli.failure import Failure
from edgeclient.client import EdgeError

_BY_REASON = {
    "UPSTREAM_CREDENTIALS": ExitCode.CONFIG,
    "STORAGE_UNAVAILABLE": ExitCode.UNAVAILABLE,
    "UPSTREAM_QUOTA_EXHAUSTED": ExitCode.UNAVAILABLE,
}
_BY_CODE = {
    StatusCode.INVALID_ARGUMENT: ExitCode.DATA,
    StatusCode.NOT_FOUND: ExitCode.DATA,
    StatusCode.ALREADY_EXISTS: ExitCode.DATA,
    StatusCode.OUT_OF_RANGE: ExitCode.DATA,
    # With a delay it is TEMPORARY, see below. Bare it comes from the gRPC library: the message is too large.
    StatusCode.RESOURCE_EXHAUSTED: ExitCode.DATA,
    StatusCode.UNAVAILABLE: ExitCode.UNAVAILABLE,
    StatusCode.UNIMPLEMENTED: ExitCode.UNAVAILABLE,
    StatusCode.DEADLINE_EXCEEDED: ExitCode.TEMPORARY,
    StatusCode.CANCELLED: ExitCode.TEMPORARY,
    StatusCode.ABORTED: ExitCode.TEMPORARY,
    StatusCode.UNAUTHENTICATED: ExitCode.NOT_PERMITTED,
    StatusCode.PERMISSION_DENIED: ExitCode.NOT_PERMITTED,
    StatusCode.FAILED_PRECONDITION: ExitCode.CONFIG,
}
_ADVICE = {
    "UPSTREAM_CREDENTIALS": "The node's own key for the provider is refused; its operator has to mend it.",
    "UPSTREAM_QUOTA_EXHAUSTED": "The provider's account has no quota or money left; its operator has to act.",
    "CALLER_UNAUTHENTICATED": "Give a valid --token-file, or --cert-file with --key-file.",
    "CALLER_NOT_ALLOWED": "The operator of the node has to allow this for the token or certificate.",
    "MODEL_NOT_FOUND": "`edgeclient models` lists what there is.",
    "DEADLINE": "Give more time with --timeout.",
}


def exit_code(error: EdgeError) -> ExitCode:
    """What a script is told."""
    if error.reason in _BY_REASON:
        return _BY_REASON[error.reason]
    if error.worth_repeating and error.retry_after_s is not None:
        return ExitCode.TEMPORARY
    return _BY_CODE.get(error.code, ExitCode.INTERNAL)


def failure_of(error: EdgeError, *, address: str) -> Failure:
    """What a person is told.

    Args:
        error: The failed call.
        address: Of the node, for the case that nobody answers there.
    """
    details = [f"{violation.field}: {violation.description}" for violation in error.violations]
    if not error.reason:
        return Failure(exit_code(error), _bare_sentence(error, address), details=_bare_advice(error))
    if error.reason in _ADVICE:
        details.append(_ADVICE[error.reason])
    if error.retry_after_s is not None:
        details.append(f"Try again in {error.retry_after_s:.3g} s.")
    if error.possibly_billed:
        details.append("The provider may have charged for the lost answer.")
    if error.request_id:
        details.append(f"Request id: {error.request_id}")
    return Failure(exit_code(error), f"{_one_line(error.message)} ({error.reason})", details=details)


@contextmanager
def failures_told(*, address: str) -> Iterator[None]:
    """Turns the failure of a call into the failure of the command."""
    try:
        yield
    except EdgeError as error:
        raise failure_of(error, address=address) from error


def _bare_sentence(error: EdgeError, address: str) -> str:
    """For an error without a reason: the node did not answer, or something between answered in its place."""
    if error.code is StatusCode.UNAVAILABLE:
        return f"no connection to the node at {address}: {_one_line(error.message)}"
    if error.code is StatusCode.DEADLINE_EXCEEDED:
        return f"the node at {address} did not answer in time (DEADLINE_EXCEEDED)"
    if error.code is StatusCode.UNIMPLEMENTED:
        return f"what answers at {address} is not an edgeclient node (UNIMPLEMENTED)"
    return f"{_one_line(error.message)} ({error.code.name})"


def _bare_advice(error: EdgeError) -> list[str]:
    if error.code is StatusCode.UNAVAILABLE:
        return ["Does it run there? If it wants TLS, give --ca-file; if it has none, --plaintext."]
    if error.code is StatusCode.DEADLINE_EXCEEDED:
        return [_ADVICE["DEADLINE"]]
    return []


def _one_line(text: str) -> str:
    return " ".join(text.split())
