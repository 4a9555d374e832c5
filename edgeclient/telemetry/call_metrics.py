"""What a finished chat and a finished attempt change in the metrics.

This is on the road of every call. The series that belong to one combination of labels are looked up once and kept
together as a row, so a fact costs one look-up of its row and a few additions. The number of rows is bounded because
every part of a row's key is: models and finish reasons by a vocabulary, reasons by the public contract, the rest by our
own code.
"""

from collections.abc import Callable
from dataclasses import dataclass

from edgeclient.core.events import AttemptFinished, CallFinished, RpcFinished
from edgeclient.telemetry import names
from edgeclient.telemetry.faults import DOMAIN_BY_REASON
from edgeclient.telemetry.instruments import Instruments
from edgeclient.telemetry.names import GenAiNames
from edgeclient.telemetry.series import CounterCell, HistogramCell
from edgeclient.telemetry.vocabulary import Vocabulary

_OPERATION = "chat"
_PROVIDER = "dashscope"
_NANOS = 1e-9
_TOKEN_FIELDS = {
    "prompt_tokens": "input",
    "completion_tokens": "output",
    "cached_tokens": "cached",
    "reasoning_tokens": "reasoning",
}
# The codes that the conventions call failures of the server; the others are the caller's.
_SERVER_FAILURES = {"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"}
_HTTP_STATUSES = range(100, 600)

Add = Callable[[float], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _CallRow:
    calls: CounterCell
    duration: HistogramCell
    first_chunk: HistogramCell
    overhead: HistogramCell
    cost: CounterCell
    possibly_billed: CounterCell
    prompt_tokens: tuple[Add, ...]
    completion_tokens: tuple[Add, ...]
    cached_tokens: tuple[Add, ...]
    reasoning_tokens: tuple[Add, ...]


class CallMetrics:
    """The metrics of chats.

    Args:
        instruments: Makes the instruments.
        gen_ai: Names of the metrics that OpenTelemetry defines.
        models: The values of the label for models.
    """

    def __init__(self, instruments: Instruments, gen_ai: GenAiNames, models: Vocabulary) -> None:
        self._models = models
        self._reasons = Vocabulary(DOMAIN_BY_REASON, spare=0)
        self._finish_reasons = Vocabulary(("stop", "length", "tool_calls", "content_filter"), spare=8)
        self._rows: dict[tuple[str, ...], _CallRow] = {}
        self._calls = instruments.counter(names.CALLS)
        self._duration = instruments.histogram(gen_ai.duration)
        self._first_chunk = instruments.histogram(gen_ai.first_chunk)
        self._overhead = instruments.histogram(names.OVERHEAD)
        self._cost = instruments.counter(names.COST)
        self._possibly_billed = instruments.counter(names.POSSIBLY_BILLED)
        self._token_count = instruments.counter(names.TOKEN_COUNT)
        self._tokens = [(spec, instruments.recorder(spec.metric)) for spec in gen_ai.tokens]

    def finished(self, event: CallFinished) -> None:
        """A chat has ended."""
        model = self._models[event.model]
        reason = self._reasons[event.reason]
        finish_reason = self._finish_reasons[event.finish_reason]
        key = (event.method, model, reason, event.source, finish_reason, event.currency_code)
        row = self._rows.get(key)
        if row is None:
            row = self._rows[key] = self._row(key)
        row.calls.value += 1
        if event.attempt_count:
            row.duration.observe(event.duration_s)
            if event.attempt_count == 1 and not reason:
                row.overhead.observe(max(0.0, event.duration_s - event.upstream_s))
        if event.first_piece_s is not None:
            row.first_chunk.observe(event.first_piece_s)
        if event.possibly_billed:
            row.possibly_billed.value += 1
        if event.cost_nanos:
            row.cost.value += event.cost_nanos * _NANOS
        if event.prompt_tokens or event.completion_tokens:
            _count_tokens(row, event)

    def _row(self, key: tuple[str, ...]) -> _CallRow:
        method, model, reason, source, finish_reason, currency = key
        gen_ai = (_OPERATION, _PROVIDER, model)
        domain = DOMAIN_BY_REASON[reason]
        tokens: dict[str, list[Add]] = {
            field: [self._token_count.cell(model, kind).add] for field, kind in _TOKEN_FIELDS.items()
        }
        for spec, recorder in self._tokens:
            tokens[spec.field].append(recorder(*gen_ai, *(() if spec.mark is None else (spec.mark,))))
        return _CallRow(
            calls=self._calls.cell(method, model, reason, domain, source, finish_reason),
            duration=self._duration.cell(*gen_ai, reason, domain),
            first_chunk=self._first_chunk.cell(*gen_ai),
            overhead=self._overhead.cell(method),
            cost=self._cost.cell(model, currency),
            possibly_billed=self._possibly_billed.cell(model, reason),
            **{field: tuple(adders) for field, adders in tokens.items()},
        )


def _count_tokens(row: _CallRow, event: CallFinished) -> None:
    for add in row.prompt_tokens:
        add(event.prompt_tokens)
    for add in row.completion_tokens:
        add(event.completion_tokens)
    if event.cached_tokens:
        for add in row.cached_tokens:
            add(event.cached_tokens)
    if event.reasoning_tokens:
        for add in row.reasoning_tokens:
            add(event.reasoning_tokens)


class AttemptMetrics:
    """The metrics of requests to the provider; `models` is the same as for the chats."""

    def __init__(self, instruments: Instruments, models: Vocabulary) -> None:
        self._models = models
        self._reasons = Vocabulary(DOMAIN_BY_REASON, spare=0)
        self._rows: dict[tuple[str, str, str, int], tuple[CounterCell, HistogramCell, HistogramCell]] = {}
        self._attempts = instruments.counter(names.ATTEMPTS)
        self._duration = instruments.histogram(names.ATTEMPT_DURATION)
        self._first_byte = instruments.histogram(names.FIRST_BYTE)

    def finished(self, event: AttemptFinished) -> None:
        """A request to the provider has ended."""
        status = event.http_status if event.http_status in _HTTP_STATUSES else 0
        key = (event.target, self._models[event.model], self._reasons[event.reason], status)
        row = self._rows.get(key)
        if row is None:
            row = self._rows[key] = self._row(*key)
        attempts, duration, first_byte = row
        attempts.value += 1
        duration.observe(event.duration_s)
        if event.first_byte_s is not None:
            first_byte.observe(event.first_byte_s)

    def _row(
        self, target: str, model: str, reason: str, status: int
    ) -> tuple[CounterCell, HistogramCell, HistogramCell]:
        domain = DOMAIN_BY_REASON[reason]
        return (
            self._attempts.cell(target, model, reason, domain, str(status or "")),
            self._duration.cell(target, reason, domain),
            self._first_byte.cell(target),
        )


class RpcMetrics:
    """The metrics of the port for devices."""

    def __init__(self, instruments: Instruments) -> None:
        self._methods = Vocabulary(spare=64)
        self._rows: dict[tuple[str, str], HistogramCell] = {}
        self._duration = instruments.histogram(names.RPC_DURATION)

    def finished(self, event: RpcFinished) -> None:
        """An RPC has ended."""
        key = (self._methods[f"{event.service}/{event.method}"], event.code)
        row = self._rows.get(key)
        if row is None:
            method, code = key
            row = self._rows[key] = self._duration.cell("grpc", method, code, code if code in _SERVER_FAILURES else "")
        row.observe(event.duration_s)
