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
        outcome: `succeeded`, `failed`, `returned` (not billed, to be sent again), `resent` (perhaps billed, to be sent
            again), `unknown`, `missing` (unknown as long as the batch is missing; how it ends is told as well), or
            `unwanted` (the job was erased or had ended).
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
        cause: `ttl`, `size`, `alone`, `model`, `budget`, or `cache` (nothing but a kept answer is wanted).
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
class BatchMissing(Event):
    """The order of a batch was cut off, and no listing shows it: its jobs are in doubt, and it is looked for further.

    Attributes:
        batch, model: Which.
        line_count: Jobs that it began with.
    """

    batch: str
    model: str
    line_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchCameLate(Event):
    """A batch that was missing has come to light. It answers those that wait for it, and is cancelled if none does.

    Attributes:
        batch: Which.
        batch_id: The provider's id.
        line_count: Jobs that it began with.
        wanted_count: Those of them that wait for it; what it does for the others is billed for nothing.
    """

    batch: str
    batch_id: str
    line_count: int
    wanted_count: int


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
