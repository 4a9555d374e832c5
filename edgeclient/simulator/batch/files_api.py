"""The endpoints under /files: upload, look, list, download, delete.

Only results can be downloaded, what was uploaded cannot. A file that a batch uses may be deleted; the batch has it.
"""

from typing import Final
from urllib.parse import parse_qs

from edgeclient.simulator.errors import ApiError
from edgeclient.simulator.exchange import Request
from edgeclient.simulator.reply import Reply, json_reply
from edgeclient.simulator.validation import refuse

from .file_store import OUTPUT_BEGIN, PURPOSE, FileStore, NoRoomError, StoredFile
from .listing import ListingError, listing
from .multipart import MultipartError, read_form
from .rules import BatchRules

PAGE: Final = 2_000  # usual and longest
_JSONL: Final = b"application/jsonl"
_OPERATIONS: Final = frozenset({("GET", ""), ("DELETE", ""), ("GET", "content")})


class FilesApi:
    """Answers by method and what stands behind `files/`."""

    def __init__(self, files: FileStore, rules: BatchRules) -> None:
        self._files = files
        self._rules = rules

    def answer(self, request: Request, rest: str) -> Reply | ApiError | None:
        """None: there is no such operation."""
        file_id, _, what = rest.partition("/")
        if not file_id:
            return {"POST": self._upload, "GET": self._list}.get(request.method, _nothing)(request)
        if (request.method, what) not in _OPERATIONS:
            return None
        file = self._files.get(file_id)
        if file is None:
            return refuse(f"No such File object: {file_id}", name="not_found")
        if what:
            return _download(file)
        if request.method == "DELETE":
            self._files.delete(file_id)
            return json_reply({"id": file_id, "object": "file", "deleted": True})
        return json_reply(file.view())

    def _upload(self, request: Request) -> Reply | ApiError:
        try:
            form = read_form(request.headers.get("content-type", ""), request.body)
        except MultipartError as error:
            return refuse(f"The upload cannot be read: {error}.")
        purpose = form["purpose"].content.decode(errors="replace") if "purpose" in form else None
        if purpose != PURPOSE:
            return refuse(f"'purpose' is {purpose!r}, must be '{PURPOSE}' (this simulator has no other).")
        if "file" not in form:
            return refuse("'file' is a required property")
        content = form["file"].content
        if len(content) > self._rules.file_bytes:
            return refuse(f"The file has {len(content)} bytes, more than the maximum of {self._rules.file_bytes}.")
        try:
            file = self._files.upload(content, filename=form["file"].filename or "file.jsonl")
        except NoRoomError as error:
            return refuse(str(error))
        return json_reply(file.view())

    def _list(self, request: Request) -> Reply | ApiError:
        asked = parse_qs(request.query)
        purpose = asked.get("purpose", [""])[-1]
        views = [file.view() for file in self._files.newest_first() if purpose in {"", file.purpose}]
        try:
            return json_reply(listing(views, asked, usual=PAGE, most=PAGE))
        except ListingError as error:
            return refuse(str(error))


def _download(file: StoredFile) -> Reply | ApiError:
    if not file.id.startswith(OUTPUT_BEGIN):
        return refuse(f"Only files whose id begins with {OUTPUT_BEGIN} can be downloaded, not {file.id}.")
    return Reply(body=file.content, content_type=_JSONL)


def _nothing(_request: Request) -> None:
    return None
