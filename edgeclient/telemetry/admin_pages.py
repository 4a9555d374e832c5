"""The pages of the admin port, as functions: what each says, without a socket.

`/livez` answers as long as the event loop turns; only a hung process fails it, so a restart is the right answer to it.
`/readyz` says whether this node is of use now: an orchestrator stops sending to it, and must not restart it. An
offline provider is a matter of whoever gives the checks.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

import msgspec

TEXT = "text/plain; charset=utf-8"
JSON = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """An answer.

    Attributes:
        status: HTTP status.
        content_type: Of the body.
        body: What it says.
    """

    status: HTTPStatus = HTTPStatus.OK
    content_type: str = TEXT
    body: bytes


MakePage = Callable[[str], Page]
"""Makes a page; takes the value of the header `Accept`. Must not block."""

Readiness = Callable[[], Mapping[str, str]]
"""Name of each check and why it fails; "" if it does not."""


def admin_pages(
    *,
    metrics: Callable[[str], tuple[str, bytes]],
    readiness: Readiness,
    usage: Callable[[], bytes] | None = None,
) -> dict[str, MakePage]:
    """The pages by their path.

    Args:
        metrics: Makes content type and text for a header `Accept`.
        readiness: The checks.
        usage: Makes the JSON that `edgeclient usage` reads, which names callers and what they cost; None: no such page.
    """

    def metrics_page(accept: str) -> Page:
        content_type, body = metrics(accept)
        return Page(content_type=content_type, body=body)

    def livez(_accept: str) -> Page:
        return Page(body=b"ok\n")

    def readyz(_accept: str) -> Page:
        checks = [{"name": name, "ready": not reason, "reason": reason} for name, reason in readiness().items()]
        ready = all(check["ready"] for check in checks)
        body = msgspec.json.encode({"ready": ready, "checks": checks}) + b"\n"
        status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
        return Page(status=status, content_type=JSON, body=body)

    pages: dict[str, MakePage] = {"/metrics": metrics_page, "/livez": livez, "/readyz": readyz}
    if usage is not None:
        pages["/usage"] = lambda _accept: Page(content_type=JSON, body=usage())
    index = "".join(f"{path}\n" for path in pages).encode()
    pages["/"] = lambda _accept: Page(body=index)
    return pages


def problem(status: HTTPStatus, sentence: str) -> Page:
    """A page that says what is wrong."""
    return Page(status=status, body=f"{sentence}\n".encode())
