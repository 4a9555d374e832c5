"""The provider's JSON about files and batches, as far as it is read."""

from typing import Any

from msgspec import Raw, Struct
from msgspec.json import Decoder, Encoder

from edgeclient.core.half_price import ProviderBatch


class File(Struct, gc=False):
    """A stored file."""

    id: str = ""


class Fault(Struct, gc=False):
    """What is wrong with a line, or with a file."""

    code: str | None = None
    message: str | None = None
    line: int | None = None


class Faults(Struct, gc=False):
    """What is wrong with a file."""

    data: list[Fault] | None = None


class BatchView(Struct, gc=False):
    """A batch."""

    id: str = ""
    status: str = ""
    output_file_id: str | None = None
    error_file_id: str | None = None
    errors: Faults | None = None
    metadata: dict[str, Any] | None = None
    created_at: float | None = None


class BatchList(Struct, gc=False):
    """A page of batches; an empty one has null for them."""

    data: list[BatchView] | None = None
    has_more: bool = False
    last_id: str | None = None


class Answered(Struct, gc=False):
    """What the model's endpoint said to a line."""

    status_code: int | None = None
    body: Raw = Raw(b"null")


class ResultLine(Struct, gc=False):
    """A line of a file of results."""

    custom_id: str = ""
    response: Answered | None = None
    error: Fault | None = None


FILE: Decoder[File] = Decoder(File)
BATCH: Decoder[BatchView] = Decoder(BatchView)
BATCHES: Decoder[BatchList] = Decoder(BatchList)
RESULT: Decoder[ResultLine] = Decoder(ResultLine)
ENCODER = Encoder()

_CODES_TOLD = 3


def batch_of(view: BatchView) -> ProviderBatch:
    """A batch in the words of the port."""
    return ProviderBatch(
        id=view.id,
        name=str((view.metadata or {}).get("ds_name", "")),
        status=view.status,
        output_file_id=view.output_file_id or "",
        error_file_id=view.error_file_id or "",
        problem=_problem(view.errors),
    )


def _problem(faults: Faults | None) -> str:
    """The first codes and where they were met; the provider's sentences may quote requests."""
    told = [
        f"{each.code or 'unknown'} in line {each.line}" if each.line else each.code or "unknown"
        for each in (faults.data if faults else None) or ()
    ]
    more = f" and {len(told) - _CODES_TOLD} more" if len(told) > _CODES_TOLD else ""
    return ", ".join(told[:_CODES_TOLD]) + more
