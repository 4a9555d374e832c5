"""The endpoints under /batches: create, look, list, cancel.

A list can be narrowed as the provider documents it: `ds_name` (any part of the name), `input_file_ids` and `status`
(with commas), `create_after` and `create_before` (yyyyMMddHHmmss, taken as the provider's clock, UTC+8).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Final
from urllib.parse import parse_qs

import msgspec

from edgeclient.simulator.errors import ERRORS, ApiError
from edgeclient.simulator.exchange import Request
from edgeclient.simulator.reply import Reply, json_reply
from edgeclient.simulator.validation import refuse

from .batch import Batch
from .file_store import PURPOSE, FileStore, NoRoomError
from .input_file import URLS
from .listing import ListingError, listing
from .runner import BatchRunner
from .states import ForbiddenMoveError, Status

PAGE: Final = 20
PAGE_MAX: Final = 100
FILE_IDS_MAX: Final = 20
WINDOW_H: Final = (24, 336)
METADATA_MAX: Final = {"ds_name": 100, "ds_description": 200}
_WINDOW: Final = re.compile(r"(\d{1,4})([hd])")
_HOUR_S: Final = 3600
_HOURS: Final = {"h": 1, "d": 24}
_CHINA: Final = timezone(timedelta(hours=8))


class _Create(msgspec.Struct, frozen=True):
    """The body of POST /batches."""

    input_file_id: str
    endpoint: str
    completion_window: str
    metadata: dict[str, str] | None = None


class BatchesApi:
    """Answers by method and what stands behind `batches/`."""

    def __init__(self, runner: BatchRunner, files: FileStore) -> None:
        self._runner = runner
        self._files = files

    def answer(self, request: Request, rest: str) -> Reply | ApiError | None:
        """None: there is no such operation."""
        batch_id, _, what = rest.partition("/")
        match request.method, bool(batch_id), what:
            case "POST", False, "":
                return self._create(request)
            case "GET", False, "":
                return self._list(request)
            case ("GET", True, "") | ("POST", True, "cancel"):
                batch = self._runner.get(batch_id)
                if batch is None:
                    return refuse(f"No batch found with id '{batch_id}'.", name="not_found")
                return self._cancel(batch) if what else json_reply(batch.view())
            case _:
                return None

    def _create(self, request: Request) -> Reply | ApiError:
        try:
            asked = msgspec.json.decode(request.body, type=_Create)
        except msgspec.DecodeError as error:
            return refuse(f"The request body is not a valid batch: {error}")
        file = self._files.get(asked.input_file_id)
        if file is None or file.purpose != PURPOSE:
            return refuse(f"No such File object: {asked.input_file_id}", name="not_found")
        if (problem := next(_problems(asked), None)) is not None:
            return refuse(problem)
        try:
            batch = self._runner.create(
                file,
                endpoint=asked.endpoint,
                completion_window=asked.completion_window,
                window_s=_window_h(asked.completion_window) * _HOUR_S,
                metadata=asked.metadata or {},
                authorization=request.headers.get("authorization", ""),
            )
        except NoRoomError:
            return ERRORS["batch_throttled"]
        return json_reply(batch.view())

    def _cancel(self, batch: Batch) -> Reply | ApiError:
        try:
            self._runner.cancel(batch)
        except ForbiddenMoveError:
            return refuse(f"Cannot cancel a batch with status '{batch.status.value}'.")
        return json_reply(batch.view())

    def _list(self, request: Request) -> Reply | ApiError:
        asked = parse_qs(request.query)
        try:
            chosen = [batch.view() for batch in self._runner.listed() if _fits(batch, asked)]
            return json_reply(listing(chosen, asked, usual=PAGE, most=PAGE_MAX))
        except ListingError as error:
            return refuse(str(error))


def _problems(asked: _Create) -> Iterator[str]:
    """What is wrong with the values."""
    if asked.endpoint not in URLS:
        yield f"endpoint is {asked.endpoint!r}, must be one of {', '.join(sorted(URLS))}"
    if not WINDOW_H[0] <= _window_h(asked.completion_window) <= WINDOW_H[1]:
        yield f"completion_window is {asked.completion_window!r}, must be 24h to 336h, in whole hours or days"
    for name, most in METADATA_MAX.items():
        if len((asked.metadata or {}).get(name, "")) > most:
            yield f"metadata.{name} is longer than {most} characters"


def _window_h(text: str) -> int:
    """The completion window in hours; 0 if it is none."""
    found = _WINDOW.fullmatch(text)
    return 0 if found is None else int(found.group(1)) * _HOURS[found.group(2)]


def _fits(batch: Batch, asked: Mapping[str, Sequence[str]]) -> bool:
    """Do the filters of a list let the batch through."""
    name = asked.get("ds_name", [""])[-1]
    file_ids = [each for each in asked.get("input_file_ids", [""])[-1].split(",") if each]
    statuses = [each for each in asked.get("status", [""])[-1].split(",") if each]
    if len(file_ids) > FILE_IDS_MAX:
        raise ListingError(f"input_file_ids has {len(file_ids)} ids, must be at most {FILE_IDS_MAX}")
    if unknown := [each for each in statuses if each not in set(Status)]:
        raise ListingError(f"status has {unknown[0]!r}, must be of {', '.join(Status)}")
    after_s, before_s = (_moment_s(asked, field) for field in ("create_after", "create_before"))
    return (
        name in batch.metadata.get("ds_name", "")
        and (not file_ids or batch.input_file_id in file_ids)
        and (not statuses or batch.status.value in statuses)
        and (after_s is None or batch.created_at > after_s)
        and (before_s is None or batch.created_at < before_s)
    )


def _moment_s(asked: Mapping[str, Sequence[str]], field: str) -> float | None:
    """A moment like 20250304123000 as seconds since 1970."""
    if not (text := asked.get(field, [""])[-1]):
        return None
    try:
        return datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=_CHINA).timestamp()
    except ValueError:
        raise ListingError(f"{field} is {text!r}, must be like 20250304123000") from None
