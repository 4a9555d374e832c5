"""The door of the management endpoints: which of them a request means, and whether it may call so often."""

from typing import Final

from edgeclient.simulator.errors import ERRORS, ApiError
from edgeclient.simulator.exchange import Request
from edgeclient.simulator.reply import Reply

from .api_limits import ApiCall, ApiGate
from .batches_api import BatchesApi
from .files_api import FilesApi

FILES: Final = "files"
BATCHES: Final = "batches"


class Management:
    """Files and batches."""

    def __init__(self, files: FilesApi, batches: BatchesApi, gate: ApiGate) -> None:
        self._files = files
        self._batches = batches
        self._gate = gate

    def answer(self, request: Request, operation: str) -> Reply | ApiError | None:
        """Carry it out; None: there is no such operation."""
        what, _, rest = operation.partition("/")
        if what not in {FILES, BATCHES}:
            return None
        if not self._gate.admits(_call_of(request.method, what, rest)):
            return ERRORS["batch_throttled"]
        return (self._files if what == FILES else self._batches).answer(request, rest)


def _call_of(method: str, what: str, rest: str) -> ApiCall:
    """What the provider counts a call as."""
    if what == FILES:
        return ApiCall.UPLOAD if method == "POST" else ApiCall.FILE
    if not rest:
        return ApiCall.CREATE if method == "POST" else ApiCall.LIST
    return ApiCall.CANCEL if method == "POST" else ApiCall.QUERY
