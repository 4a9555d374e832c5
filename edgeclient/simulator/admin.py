"""The admin API under /__sim__/: faults, ledger, stats, limits, pace and batches of a running simulator, as JSON.

It is never faulted, limited or written into the ledger, and asks for no key: the simulator is a tool, not a service
to be exposed.

    GET PUT POST DELETE faults        rules of faults; DELETE faults/{id} for one
    GET DELETE          ledger        what was received and billed; ?since=seq
    GET DELETE          stats         connections and streams
    GET PUT DELETE      limits        rate limits with their use and refusals by rule; DELETE forgets the use
    GET PUT             pace          waits by model
    GET                 batches       all of them, with what waits and what is in work; batches/{id} for one
    POST                batches/{id}/step     one step of its life, in progress ?lines=n
    POST                batches/{id}/finish   to its end
    POST                batches/{id}/expire   its completion window is over
"""

from collections.abc import Callable
from typing import Any, Final
from urllib.parse import parse_qs

import msgspec

from .batch.api_limits import ApiGate
from .batch.batch import Batch
from .batch.runner import BatchRunner
from .errors import JSON_TYPE
from .exchange import Exchange
from .fault_syntax import faults_of_json
from .faults import FaultBook
from .host import Stats, Work
from .ledger import Ledger
from .pace import ModelPace, Paces
from .rates.judge import RateJudge
from .rates.model_limits import ModelLimits
from .rule_syntax import RuleSyntaxError, rows_of_json

PREFIX: Final = "/__sim__/"
ENTRIES_PER_PAGE: Final = 10_000
Answer = tuple[int, Any]


class Admin:
    """Answers the admin requests."""

    def __init__(
        self,
        *,
        faults: FaultBook,
        ledger: Ledger,
        stats: Stats,
        rates: RateJudge,
        gate: ApiGate,
        paces: Paces,
        batches: BatchRunner,
    ) -> None:
        self._faults = faults
        self._ledger = ledger
        self._stats = stats
        self._rates = rates
        self._gate = gate
        self._paces = paces
        self._batches = batches
        self._routes: dict[tuple[str, str], Callable[[Exchange], Answer]] = {
            ("GET", "faults"): self._list_faults,
            ("PUT", "faults"): self._replace_faults,
            ("POST", "faults"): self._add_faults,
            ("DELETE", "faults"): self._clear_faults,
            ("GET", "ledger"): self._read_ledger,
            ("DELETE", "ledger"): self._reset_ledger,
            ("GET", "stats"): lambda _: (200, self._stats),
            ("DELETE", "stats"): self._reset_stats,
            ("GET", "limits"): self._read_limits,
            ("PUT", "limits"): self._replace_limits,
            ("DELETE", "limits"): self._forget_use,
            ("GET", "pace"): lambda _: (200, {"pace": self._paces.rows}),
            ("PUT", "pace"): self._replace_pace,
            ("GET", "batches"): self._list_batches,
        }

    def handle(self, exchange: Exchange) -> Work | None:
        """Answer at once, but for the steps of a batch."""
        request = exchange.request
        what, _, rest = request.path.removeprefix(PREFIX).partition("/")
        route = self._routes.get((request.method, what))
        try:
            if what == "batches" and rest:
                return self._one_batch(exchange, rest)
            if what == "faults" and rest and request.method == "DELETE":
                found = rest.isdigit() and self._faults.remove(int(rest))
                answer: Answer = (200, {"removed": int(rest)}) if found else (404, {"error": f"no fault {rest!r}"})
            elif route is None or rest:
                answer = _unknown(exchange)
            else:
                answer = route(exchange)
        except RuleSyntaxError as error:
            answer = 400, {"error": str(error)}
        _send(exchange, answer)
        return None

    # faults

    def _list_faults(self, exchange: Exchange) -> Answer:
        del exchange
        rules = [
            {"id": armed.id, "matched": armed.matched, "applied": armed.applied, "rule": armed.fault}
            for armed in self._faults.armed()
        ]
        return 200, {"faults": rules}

    def _add_faults(self, exchange: Exchange) -> Answer:
        faults = faults_of_json(exchange.request.body, where="body")
        return 200, {"added": self._faults.add(*faults)}

    def _replace_faults(self, exchange: Exchange) -> Answer:
        faults = faults_of_json(exchange.request.body, where="body")
        self._faults.clear()
        return 200, {"added": self._faults.add(*faults)}

    def _clear_faults(self, exchange: Exchange) -> Answer:
        del exchange
        self._faults.clear()
        return 200, {"faults": []}

    # ledger and stats

    def _read_ledger(self, exchange: Exchange) -> Answer:
        asked = parse_qs(exchange.request.query).get("since", ["0"])[0]
        if not asked.isdigit():
            return 400, {"error": f"since is {asked!r}, must be the seq of an entry"}
        entries = self._ledger.since(int(asked))
        answer = {
            "totals": self._ledger.totals,
            "billed_more_than_once": self._ledger.billed_more_than_once(),
            "paid_more_than_once": self._ledger.paid_more_than_once(),
            "entries": entries[:ENTRIES_PER_PAGE],
            "more": len(entries) > ENTRIES_PER_PAGE,
        }
        return 200, answer

    def _reset_ledger(self, exchange: Exchange) -> Answer:
        del exchange
        self._ledger.reset()
        return 200, {"totals": self._ledger.totals}

    def _reset_stats(self, exchange: Exchange) -> Answer:
        del exchange
        self._stats.reset()
        return 200, self._stats

    # limits and pace

    def _read_limits(self, exchange: Exchange) -> Answer:
        del exchange
        return 200, {"limits": self._rates.rows, "use": self._rates.report(), "batch_api": self._gate.report()}

    def _replace_limits(self, exchange: Exchange) -> Answer:
        body = exchange.request.body
        self._rates.set_rows(rows_of_json(body, ModelLimits, first="model", names=("limits",), where="body"))
        return self._read_limits(exchange)

    def _forget_use(self, exchange: Exchange) -> Answer:
        self._rates.forget()
        self._gate.forget()
        return self._read_limits(exchange)

    def _replace_pace(self, exchange: Exchange) -> Answer:
        body = exchange.request.body
        self._paces.set_rows(rows_of_json(body, ModelPace, first="model", names=("pace",), where="body"))
        return 200, {"pace": self._paces.rows}

    # batches

    def _list_batches(self, exchange: Exchange) -> Answer:
        del exchange
        return 200, {"batches": [batch.progress() for batch in self._batches.newest_first()]}

    def _one_batch(self, exchange: Exchange, rest: str) -> Work | None:
        batch_id, _, step = rest.partition("/")
        batch = self._batches.get(batch_id)
        lines = parse_qs(exchange.request.query).get("lines", ["1"])[-1]
        if batch is None:
            _send(exchange, (404, {"error": f"no batch {batch_id!r}"}))
        elif not lines.isdigit():
            _send(exchange, (400, {"error": f"lines is {lines!r}, must be a whole number"}))
        elif (exchange.request.method, step) == ("GET", ""):
            _send(exchange, (200, batch.progress()))
        elif exchange.request.method != "POST" or step not in {"step", "finish", "expire"}:
            _send(exchange, _unknown(exchange))
        else:
            return self._move_batch(exchange, batch, step, int(lines) if "lines" in exchange.request.query else None)
        return None

    async def _move_batch(self, exchange: Exchange, batch: Batch, step: str, lines: int | None) -> None:
        if step == "step":
            await self._batches.step(batch, lines=lines)
        elif step == "finish":
            await self._batches.finish(batch)
        else:
            self._batches.expire(batch)
        _send(exchange, (200, batch.progress()))


def _unknown(exchange: Exchange) -> Answer:
    request = exchange.request
    return 404, {"error": f"no {request.method} {request.path}; see `edgeclient sim --help`"}


def _send(exchange: Exchange, answer: Answer) -> None:
    status, value = answer
    exchange.send_all(status, [JSON_TYPE], msgspec.json.encode(value) + b"\n")
