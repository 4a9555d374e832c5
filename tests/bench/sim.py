"""The simulated cloud as users run it: `edgeclient sim` as a process of its own, and its ledger over its admin API.

What was asked and billed is read here and nowhere else: the ledger is on the other side of the wire, so it sees what
the node does and not what the node says.
"""

import socket
import ssl
import sys
import time
import urllib.request
from collections.abc import Collection
from pathlib import Path
from typing import Self

import msgspec
from bench.process import Process

_START_WITHIN_S = 20.0
_LOOK_AGAIN_S = 0.02
_ANSWER_WITHIN_S = 20.0
_NO_ENTRIES = 10**15


class Entry(msgspec.Struct, frozen=True):
    """A request in the ledger, as far as it matters here; what the fields mean stands in the simulator's `Entry`."""

    seq: int
    time: float
    kind: str
    model: str
    price_factor: float
    prompt_tokens_billed: int
    cached_tokens: int
    tokens_billed: int
    outcome: str
    status: int | None = None
    body: str | None = None


class _Totals(msgspec.Struct, frozen=True):
    requests: int


class _Page(msgspec.Struct, frozen=True):
    totals: _Totals
    entries: list[Entry]
    more: bool


class SimulatedCloud:
    """A cloud that runs; `with` it.

    Args:
        directory: For its certificates.
        port: Where it listens.
        cores: Where it runs.
        flags: Further flags of `edgeclient sim`.
    """

    def __init__(self, directory: Path, port: int, *, cores: Collection[int], flags: Collection[str] = ()) -> None:
        self._port = port
        self._ca_file = directory / "ca.pem"
        command = [sys.executable, "-m", "edgeclient", "sim", "--port", str(port), "--directory", str(directory)]
        self.process = Process([*command, *flags], cores=cores, log=directory / "sim.log")

    def __enter__(self) -> Self:
        self.process.__enter__()
        await_listener(self.process, f"127.0.0.1:{self._port}")
        self._context = ssl.create_default_context(cafile=str(self._ca_file))
        return self

    def __exit__(self, *failure: object) -> None:
        self.process.__exit__(*failure)

    @property
    def facts(self) -> dict[str, object]:
        """What a daemon has to be told, as the canned cloud says it."""
        return {"port": self._port, "ca_file": str(self._ca_file)}

    def entries(self) -> list[Entry]:
        """The whole ledger, in the order of arrival; calls for nothing but management are left out."""
        found: list[Entry] = []
        since = 0
        while True:
            page = msgspec.json.decode(self._admin("GET", f"ledger?since={since}"), type=_Page)
            found += page.entries
            if not page.more:
                return [entry for entry in found if entry.kind != "management"]
            since = page.entries[-1].seq

    def await_requests(self, count: int, *, within_s: float = 60.0) -> None:
        """Return when the ledger has so many requests.

        Raises:
            RuntimeError: It has fewer.
        """
        end_s = time.monotonic() + within_s
        while (found := self._requests()) < count:
            if time.monotonic() > end_s:
                raise RuntimeError(f"the cloud had {found} requests after {within_s:g} s, not {count}")
            time.sleep(_LOOK_AGAIN_S)

    def _requests(self) -> int:
        page = msgspec.json.decode(self._admin("GET", f"ledger?since={_NO_ENTRIES}"), type=_Page)
        return page.totals.requests

    def forget(self) -> None:
        """Begin the ledger anew."""
        self._admin("DELETE", "ledger")

    def _admin(self, method: str, what: str) -> bytes:
        request = urllib.request.Request(f"https://127.0.0.1:{self._port}/__sim__/{what}", method=method)
        with urllib.request.urlopen(request, timeout=_ANSWER_WITHIN_S, context=self._context) as answer:  # noqa: S310
            return bytes(answer.read())


def await_listener(process: Process, address: str) -> None:
    """Return when a process listens.

    Raises:
        RuntimeError: It does not.
    """
    host, _, port = address.rpartition(":")
    end_s = time.monotonic() + _START_WITHIN_S
    while time.monotonic() < end_s:
        with socket.socket() as probe:
            if not probe.connect_ex((host, int(port))):
                return
        time.sleep(_LOOK_AGAIN_S)
    raise process.silent(f"does not listen on {address} after {_START_WITHIN_S:g} s")
