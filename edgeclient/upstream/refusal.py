"""An answer of the provider that is no success, read as far as errors are long, and what it means."""

from collections.abc import Callable

from edgeclient.core.errors import CallError
from edgeclient.upstream.exchange import Incoming
from edgeclient.upstream.failures import failure, parse_error, parse_retry_after
from edgeclient.upstream.provider_error import ERROR_BODY_BYTES


async def refusal(
    incoming: Incoming, *, wall_s: float, capped: Callable[[float, float], None] | None = None
) -> tuple[CallError, str]:
    """The error to raise for it, and the provider's own code for that; "" if it gave none.

    Args:
        incoming: The answer; its body is not read yet.
        wall_s: The present time, because a Retry-After may be a date.
        capped: See `parse_retry_after`.

    Raises:
        CallError: The connection or the stream broke.
    """
    body = await incoming.read_until(ERROR_BODY_BYTES)
    error = parse_error(http_status=incoming.status, content_type=incoming.header("content-type"), body=body)
    retry_after_s = parse_retry_after(incoming.header, wall_s=wall_s, capped=capped)
    return failure(error, retry_after_s=retry_after_s), error.code
