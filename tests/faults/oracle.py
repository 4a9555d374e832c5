"""The judge of the suite: what may happen, by the rule book, against what did.

The rule book, in the words of `protos/edgeclient/v1/error.proto` and of the issue:

* What was perhaps processed is never sent again: not for a live call, not under a key, not for a job, except once for a
  job that asks for it. Who is told of it is told `possibly_billed` and no delay.
* What was certainly not processed is sent again for free, up to `max_attempts` requests of a call, never sooner than
  the provider asked, and not at all if that would be after the call's own time.
* What would take the target as long again is sent elsewhere at most; a job has time, and tries it again.
* What the same request meets again is told at once, after one request.
* A job goes on until it succeeds, is refused for good, or has used up its attempts; what was lost before the provider
  heard of it uses up none.
* A bill that nobody is told of is the worst: whoever is told that nothing was billed must find nothing in the ledger.
* An answer is delivered whole and once; what was delivered of a broken one is its beginning.

It knows the ledger of the cloud and what devices heard. It knows no code of the daemon.
"""

import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

from faults.forms import ENDED, TIMEOUT_S, Told
from faults.house import JOB_ATTEMPTS, MAX_ATTEMPTS, TOTAL_S
from faults.kinds import JOBS, Fate, Form, Kind, Phase

from edgeclient.simulator import Entry

_CONTRACT: Final = Path(__file__).parents[2] / "protos" / "edgeclient" / "v1" / "error.proto"
_REASON: Final = re.compile(r"// \[([A-Z_]+)[^\]]*\].*?ERROR_REASON_([A-Z_]+) = \d+;", re.DOTALL)
_UNKNOWN: Final = "OUTCOME_UNKNOWN"
_ENGINE: Final = 3
"""Requests that the engine makes of one attempt which HTTP/2 says was not processed: they are free, and uncounted."""
LATE_S: Final = 1.2  # of a time-out, on a machine that is busy
_EARLY_S: Final = 0.05  # a date has whole seconds only, and clocks of two processes differ


def codes() -> dict[str, str]:
    """The gRPC code that the contract fixes for each reason."""
    return {reason: code for code, reason in _REASON.findall(_CONTRACT.read_text())}


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one cell has shown.

    Attributes:
        kind, form: The cell.
        passing: The fault hit one request only.
        told: What the device was told while it lasted.
        entries: What the cloud heard of it until then.
        again: Told after the fault was gone: a repeat under the same key, or the job that waited; None: not asked.
        entries_again: Everything that the cloud has heard of it by the end.
        reference: What the cloud says to the same words when it is well.
    """

    kind: Kind
    form: Form
    passing: bool
    told: Told
    entries: tuple[Entry, ...]
    again: Told | None
    entries_again: tuple[Entry, ...]
    reference: str

    @property
    def bills(self) -> int:
        """How often it was billed in all."""
        return bills(self.entries_again)


def bills(entries: tuple[Entry, ...]) -> int:
    """How many of them were billed."""
    return sum(1 for entry in entries if entry.tokens_billed or entry.prompt_tokens_billed)


def problems(seen: Seen) -> list[str]:
    """Every rule that the cell breaks."""
    judge = _of_job if seen.form in JOBS else _of_call
    return [*_always(seen), *_text(seen), *judge(seen)]


def _always(seen: Seen) -> list[str]:
    """What holds for everything."""
    told, found = seen.told, list(seen.told.copies)
    if told.reason and codes()[told.reason] != told.code:
        found.append(f"{told.reason} came with {told.code}, the contract says {codes()[told.reason]}")
    ended = not told.answered and told.state in ENDED + _codes_that_end(told)
    if ended and not told.possibly_billed and bills(seen.entries):
        found.append(f"was billed {bills(seen.entries)} times and told that it was not")
    if told.answered and bills(seen.entries) != 1 and seen.form is not Form.JOB_ONCE:
        found.append(f"was answered and billed {bills(seen.entries)} times")
    if told.overslept or (seen.again is not None and seen.again.overslept):
        found.append("has ended, and who waited for it was not told")
    if told.possibly_billed and told.delay_s is not None:
        found.append("is told to repeat what may have been billed")
    most = 2 if seen.form is Form.JOB_ONCE else 1
    if seen.bills > most:
        found.append(f"was billed {seen.bills} times, at most {most} permitted")
    if told.attempts is not None and told.answered and requests_each(seen.kind) * told.attempts < len(seen.entries):
        found.append(f"says {told.attempts} attempts, the cloud heard {len(seen.entries)}")
    return found


def _codes_that_end(told: Told) -> tuple[str, ...]:
    return (told.code,) if told.code and told.state == told.code else ()


def _text(seen: Seen) -> list[str]:
    found = []
    for told in filter(None, (seen.told, seen.again)):
        empty = seen.kind.name == "answer without text"
        expected = "" if empty else seen.reference
        if told.answered and (told.text, told.whole) != (expected, True):
            found.append(f"got {told.text[:60]!r} for {expected[:60]!r}, {'whole' if told.whole else 'unfinished'}")
        if not told.answered and not seen.reference.startswith(told.text):
            found.append(f"was delivered {told.text[:60]!r}, which is no beginning of {seen.reference[:60]!r}")
    return found


def _of_call(seen: Seen) -> list[str]:
    kind, told, sent = seen.kind, seen.told, len(seen.entries)
    match kind.fate:
        case Fate.ANSWERED:
            found = [] if told.answered else [f"was not borne: {told.state} {told.reason}"]
        case Fate.UNKNOWN:
            least = 0 if kind.arrange is not None else 1  # what died on the way was not heard
            found = told_as(kind, told, billed=True) + between(sent, least, 1) + _in_time(seen)
        case Fate.REFUSED | Fate.NODE | Fate.MODEL:
            found = told_as(kind, told, billed=False) + between(sent, 1, 1)
            if told.delay_s is not None:
                found.append("is told to repeat what fails again")
        case _ if seen.passing and kind.least_s < TIMEOUT_S:
            found = [] if told.answered else [f"was given up as {told.state} {told.reason}, and it was free to repeat"]
            found += between(sent, 2, 2) + _not_sooner(kind, seen.entries)
        case _:
            found = told_as(kind, told, billed=False) + _delayed(kind, told) + _not_sooner(kind, seen.entries)
            most = 1 if kind.least_s >= TIMEOUT_S or not kind.again else MAX_ATTEMPTS * requests_each(kind)
            found += between(sent, 0, 0) if kind.phase is Phase.BEFORE_SEND else between(sent, 1, most)
    if seen.form is Form.KEYED and seen.again is not None:
        found += _of_repeat(seen, seen.again)
    return found


def _in_time(seen: Seen) -> list[str]:
    """The time-out that is meant has fired, and no other; of a whole answer there is only the one for all of it."""
    if seen.kind.limit_s is None:
        return []
    limit_s, took_s = TOTAL_S if seen.form is Form.SHORT else seen.kind.limit_s, seen.told.took_s
    fired = limit_s - _EARLY_S <= took_s <= limit_s + LATE_S
    return [] if fired else [f"was told after {took_s:.1f} s, the time-out is {limit_s:g} s"]


def _of_repeat(seen: Seen, again: Told) -> list[str]:
    """The same key once more, after the fault is gone."""
    later = len(seen.entries_again) - len(seen.entries)
    if seen.told.answered:
        same = again.answered and again.text == seen.told.text and not later
        return (
            [] if same else [f"the repeat under its key was not a replay: {again.state} {again.reason}, {later} more"]
        )
    if seen.told.possibly_billed:
        refused = again.reason == _UNKNOWN and not later
        return [] if refused else [f"the repeat under its key gave {again.state} {again.reason}, {later} more requests"]
    return [] if again.answered else [f"the repeat of a free failure under its key gave {again.state} {again.reason}"]


def _of_job(seen: Seen) -> list[str]:
    kind, told, sent = seen.kind, seen.told, len(seen.entries)
    once = seen.form is Form.JOB_ONCE
    match kind.fate:
        case Fate.ANSWERED:
            return [] if told.answered else [f"was not borne: {told.state} {told.reason}"]
        case Fate.UNKNOWN if once and seen.passing:
            found = [] if told.answered else [f"may be resent once and ended {told.state} {told.reason}"]
            return found + between(sent, 2, 2)
        case Fate.UNKNOWN:
            found = between(sent, 0 if kind.arrange is not None else 1, 2 if once else 1)
            if (told.state, told.reason, told.possibly_billed) != ("FAILED", _UNKNOWN, True):
                found.append(f"ended {told.state} {told.reason}, billed {told.possibly_billed}")
            return found
        case Fate.REFUSED:
            ended = told.state == "FAILED" and told.reason in kind.reasons
            return between(sent, 1, 1) + ([] if ended else [f"ended {told.state} {told.reason}"])
        case Fate.NODE | Fate.MODEL:
            waits = told.state in ("PENDING", "RUNNING") and told.reason in (*kind.reasons, "")
            return between(sent, 1, 2) + ([] if waits else [f"does not wait: {told.state} {told.reason}"])
        case _:
            return _of_waiting_job(seen)


def _of_waiting_job(seen: Seen) -> list[str]:
    """A job that lost nothing: it waits, or has used up what the provider has heard of."""
    kind, told, sent = seen.kind, seen.told, len(seen.entries)
    found = _not_sooner(kind, seen.entries)
    if seen.passing and kind.least_s < TIMEOUT_S:
        return found + between(sent, 2, 2) + ([] if told.answered else [f"ended {told.state} {told.reason}"])
    if kind.phase is Phase.BEFORE_SEND:
        found += between(sent, 0, 0)
    elif not kind.way_lost and not kind.nack:
        found += between(sent, 1, JOB_ATTEMPTS)
    if told.state == "FAILED":
        if kind.way_lost or sent < JOB_ATTEMPTS or told.reason not in kind.reasons:
            found.append(f"failed with {told.reason} after {sent} requests, with attempts left")
    elif told.state not in ("PENDING", "RUNNING"):
        found.append(f"ended {told.state} {told.reason}")
    elif seen.again is not None and not seen.again.answered:
        found.append(f"waited and then ended {seen.again.state} {seen.again.reason}")
    return found


def requests_each(kind: Kind) -> int:
    """Requests that the cloud may hear of one attempt."""
    return _ENGINE if kind.nack else 1


def told_as(kind: Kind, told: Told, *, billed: bool) -> list[str]:
    """It was told what the kind says, and whether it may be billed."""
    found = []
    if told.reason not in kind.reasons:
        found.append(f"was told {told.state} {told.reason or 'nothing'}, not {' or '.join(kind.reasons)}")
    if told.possibly_billed is not billed:
        found.append(f"was told possibly_billed = {told.possibly_billed}")
    return found


def _delayed(kind: Kind, told: Told) -> list[str]:
    if told.delay_s is None:
        return ["is not told when to come back"]
    return [] if told.delay_s >= kind.least_s - _EARLY_S else [f"is told {told.delay_s} s, at least {kind.least_s} s"]


def _not_sooner(kind: Kind, entries: tuple[Entry, ...]) -> list[str]:
    """No request comes sooner after the one before than the provider asked for."""
    gaps = [later.time - sooner.time for sooner, later in pairwise(entries)]
    early = [gap for gap in gaps if gap < kind.least_s - _EARLY_S]
    return [f"came back after {early[0]:.2f} s, at least {kind.least_s} s"] if early else []


def between(count: int, least: int, most: int) -> list[str]:
    """The cloud heard so many requests."""
    if least <= count <= most:
        return []
    return [f"the cloud heard {count} requests, {least if least == most else f'{least} to {most}'} permitted"]
