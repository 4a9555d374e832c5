"""The port of the provider's file Batch interface: many requests in a file, answered within a day, for half the price.

Nothing but `create` can lead to a bill. Uploading is free and may be repeated.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from edgeclient.core.call import Call, Handler, Reply
from edgeclient.core.errors import CallError
from edgeclient.core.events import Uplink
from edgeclient.core.models import ModelSpec
from edgeclient.core.quota_events import BatchAnswered
from edgeclient.v1 import chat_pb2


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderBatch:
    """A batch in the provider's words.

    Attributes:
        id: The provider's.
        name: The name that it was created with.
        status: The provider's word.
        output_file_id, error_file_id: "" if there is none.
        problem: Why it failed as a whole; "" if it did not.
    """

    id: str
    name: str
    status: str
    output_file_id: str = ""
    error_file_id: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenBatches:
    """Counts of the batches in a state.

    Attributes:
        batch_count: How many.
        line_count: Jobs that they began with.
    """

    batch_count: int = 0
    line_count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LineResult:
    """What became of one request; either of the two is there.

    Attributes:
        custom_id: Which.
        response: The answer, reasoning included; `id` is left empty.
        error: Why there is none. Possibly billed only if an answer came that cannot be read.
    """

    custom_id: str
    response: chat_pb2.ChatResponse | None = None
    error: CallError | None = None


class FinishAnswer(Protocol):
    """Makes an answer of a half-price interface the answer of its request, in place."""

    def __call__(self, call: Call, response: chat_pb2.ChatResponse, /) -> BatchAnswered:
        """What it cost, and would have cost live."""
        ...


class KeptAnswers(Protocol):
    """The cache, as far as those use it whose answers come days after the questions."""

    async def look(self, call: Call, /) -> Reply | None:
        """The answer that is kept and fresh; None: there is none, and the provider may be asked.

        Raises:
            Rejected: There is none, and nothing else is wanted.
        """
        ...

    def keep(self, call: Call, response: chat_pb2.ChatResponse, /) -> None:
        """Keep an answer of the provider, if its request permits that."""
        ...


class BatchProvider(Protocol):
    """The provider. All methods raise `CallError`, and change nothing that costs unless they say so."""

    target: str
    """Name of what answers, in answers."""

    def line(self, custom_id: str, request: chat_pb2.ChatRequest, model: ModelSpec) -> bytes:
        """A request as a line of a file, its end included.

        Raises:
            Rejected: It cannot be written as one.
        """
        ...

    async def upload(self, name: str, lines: Sequence[bytes]) -> str:
        """Store a file of requests; returns its id."""
        ...

    async def create(self, file_id: str, *, name: str, window_h: int) -> ProviderBatch:
        """Order a batch of a file.

        Raises:
            CallError: Certainly not created, unless it is possibly billed.
        """
        ...

    async def named(self, name: str, *, file_id: str) -> list[ProviderBatch]:
        """All batches of this name, made of this file, the oldest first. Complete: if that cannot be had, it raises."""
        ...

    async def batch(self, batch_id: str) -> ProviderBatch:
        """The present state."""
        ...

    async def cancel(self, batch_id: str) -> None:
        """Begin no further line of it."""
        ...

    def results(self, file_id: str, model: ModelSpec) -> AsyncIterator[LineResult]:
        """The lines of a file of results, as they come."""
        ...

    async def delete(self, file_id: str) -> None:
        """Delete a file; no error if it is gone."""
        ...


class HalfPrice(Protocol):
    """The provider's half-price interfaces, as they are wired."""

    @property
    def files(self) -> BatchProvider:
        """Batches in files."""
        ...

    @property
    def finish(self) -> FinishAnswer:
        """Completes their answers."""
        ...

    @property
    def model_of(self) -> Callable[[str], ModelSpec]:
        """The model of an id, also of one that the node has no more."""
        ...

    @property
    def serves(self) -> Callable[[str], str | None]:
        """Name of the model with an id where new batches are made; None: it is not served there."""
        ...

    @property
    def uplink(self) -> Callable[[str], Uplink]:
        """What is believed of the way to where the batch or file with an id was made; of "" to where new ones are."""
        ...

    @property
    def chat(self) -> Handler | None:
        """Asks the synchronous endpoint; None if it is not used."""
        ...
