"""Facts about jobs that go out at half price; see `events.py` for what a fact is."""

from dataclasses import dataclass

from edgeclient.core.events import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchChanged(Event):
    """A batch has come to a state.

    Attributes:
        batch: This node's name for it.
        batch_id: The provider's; "" as long as it is not known.
        model: Of its lines.
        state: Name of the state in lower case, such as `submitted`.
        status: The provider's word; "" if it has said none.
        line_count: Jobs that it began with.
    """

    batch: str
    batch_id: str
    model: str
    state: str
    status: str
    line_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchLinesSettled(Event):
    """Jobs of a batch were accounted for.

    Attributes:
        model: Of its lines.
        outcome: `succeeded`, `failed`, `returned` (not billed, to be sent again), `unknown`, or `unwanted` (the job was
            erased or had ended).
        count: How many.
        saved_nanos: What they would have cost in addition, in billionths of `currency_code`.
        currency_code: ISO 4217 code; "" if no price is known.
    """

    model: str
    outcome: str
    count: int
    saved_nanos: int = 0
    currency_code: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SentLive(Event):
    """Deferrable jobs go the ordinary road.

    Attributes:
        count: How many.
        cause: `ttl`, `size`, `alone`, `model` or `refused`.
    """

    count: int
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRefused(Event):
    """The provider refused a batch as a whole; its jobs go the ordinary road.

    Attributes:
        batch, model: Which.
        line_count: Jobs that it began with.
        problem: What the provider said, without the words of requests.
    """

    batch: str
    model: str
    line_count: int
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchStuck(Event):
    """A step of a batch failed and is tried again.

    Attributes:
        batch: Which.
        state: Where it stands.
        problem: What is wrong.
    """

    batch: str
    state: str
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchDoubled(Event):
    """The provider has two batches of one name, because a creation that seemed lost was not; one is cancelled.

    Attributes:
        batch: Which.
        batch_id: The provider's id of the one that is cancelled.
    """

    batch: str
    batch_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchFileKept(Event):
    """A file at the provider could not be deleted; it holds prompts or answers. It is tried again.

    Attributes:
        batch: Of which batch.
        file_id: The provider's id.
        problem: What is wrong.
    """

    batch: str
    file_id: str
    problem: str
