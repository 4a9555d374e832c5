"""The admin API under /__sim__/: faults, ledger and stats of a running simulator, as JSON.

It is never faulted, limited or written into the ledger, and asks for no key: the simulator is a tool, not a service
to be exposed.
"""

from collections.abc import Callable
from typing import Any, Final
from urllib.parse import parse_qs

import msgspec

from .errors import JSON_TYPE
from .exchange import Exchange
from .fault_syntax import FaultSyntaxError, faults_of_json
from .faults import FaultBook
from .host import Stats
from .ledger import Ledger

PREFIX: Final = "/__sim__/"
ENTRIES_PER_PAGE: Final = 10_000


class Admin:
    """Answers the admin requests."""

    def __init__(self, *, faults: FaultBook, ledger: Ledger, stats: Stats) -> None:
        self._faults = faults
        self._ledger = ledger
        self._stats = stats
        self._routes: dict[tuple[str, str], Callable[[Exchange], tuple[int, Any]]] = {
            ("GET", "faults"): self._list_faults,
            ("PUT", "faults"): self._replace_faults,
            ("POST", "faults"): self._add_faults,
            ("DELETE", "faults"): self._clear_faults,
            ("GET", "ledger"): self._read_ledger,
            ("DELETE", "ledger"): self._reset_ledger,
            ("GET", "stats"): lambda _: (200, self._stats),
            ("DELETE", "stats"): self._reset_stats,
        }

    def handle(self, exchange: Exchange) -> None:
        """Answer at once."""
        request = exchange.request
        what, _, rest = request.path.removeprefix(PREFIX).partition("/")
        route = self._routes.get((request.method, what))
        try:
            if what == "faults" and rest and request.method == "DELETE":
                found = rest.isdigit() and self._faults.remove(int(rest))
                status, answer = (200, {"removed": int(rest)}) if found else (404, {"error": f"no fault {rest!r}"})
            elif route is None or rest:
                status, answer = 404, {"error": f"no {request.method} {request.path}; see `edgeclient sim --help`"}
            else:
                status, answer = route(exchange)
        except FaultSyntaxError as error:
            status, answer = 400, {"error": str(error)}
        exchange.send_all(status, [JSON_TYPE], msgspec.json.encode(answer) + b"\n")

    def _list_faults(self, exchange: Exchange) -> tuple[int, Any]:
        del exchange
        rules = [
            {"id": armed.id, "matched": armed.matched, "applied": armed.applied, "rule": armed.fault}
            for armed in self._faults.armed()
        ]
        return 200, {"faults": rules}

    def _add_faults(self, exchange: Exchange) -> tuple[int, Any]:
        faults = faults_of_json(exchange.request.body, where="body")
        return 200, {"added": self._faults.add(*faults)}

    def _replace_faults(self, exchange: Exchange) -> tuple[int, Any]:
        faults = faults_of_json(exchange.request.body, where="body")
        self._faults.clear()
        return 200, {"added": self._faults.add(*faults)}

    def _clear_faults(self, exchange: Exchange) -> tuple[int, Any]:
        del exchange
        self._faults.clear()
        return 200, {"faults": []}

    def _read_ledger(self, exchange: Exchange) -> tuple[int, Any]:
        asked = parse_qs(exchange.request.query).get("since", ["0"])[0]
        if not asked.isdigit():
            return 400, {"error": f"since is {asked!r}, must be the seq of an entry"}
        entries = self._ledger.since(int(asked))
        answer = {
            "totals": self._ledger.totals,
            "billed_more_than_once": self._ledger.billed_more_than_once(),
            "entries": entries[:ENTRIES_PER_PAGE],
            "more": len(entries) > ENTRIES_PER_PAGE,
        }
        return 200, answer

    def _reset_ledger(self, exchange: Exchange) -> tuple[int, Any]:
        del exchange
        self._ledger.reset()
        return 200, {"totals": self._ledger.totals}

    def _reset_stats(self, exchange: Exchange) -> tuple[int, Any]:
        del exchange
        self._stats.reset()
        return 200, self._stats
