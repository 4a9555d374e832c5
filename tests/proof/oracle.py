"""The books of the proof: what devices were promised, what the cloud was asked, and whether the two agree.

It lives in another process than the node and believes nothing that the node says of itself. *Billed* means: a whole
request has arrived at the cloud. That is stricter than any provider, which may charge less for a cut connection. Which
attempts a kill has cut off is read from the files of the dead node; that only bounds what it may be excused for.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from proof.remains import Attempt

_MARK = re.compile(r"q-\d+-[\d-]*\d-")
_UNKNOWN = "FAILED OUTCOME_UNKNOWN"
_SECOND = 2  # the attempt that RESEND_ONCE permits is cut off by a second kill, if at all


@dataclass(slots=True, kw_only=True)
class Promise:
    """One key, and everything that was heard about it.

    Attributes:
        key: Idempotency key.
        text: The prompt; the cloud answers with the same text.
        is_job: Submitted as a job; else asked as a live call.
        resends: The job may be sent once more after an attempt of unknown outcome.
        conversation_id: "" for none.
        accepted: The node has answered; from here on it must not be lost.
        job_ids: All ids that the node gave for this key.
        answers: All texts that the node gave as the answer.
        told: Every end that a device was told before the run was over.
        end: How it has ended: the terminal state, with the reason of a failure.
        cut: Attempts of it that a kill has cut off.
    """

    key: str
    text: str
    is_job: bool
    resends: bool = False
    conversation_id: str = ""
    accepted: bool = False
    job_ids: set[str] = field(default_factory=set)
    answers: set[str] = field(default_factory=set)
    told: set[str] = field(default_factory=set)
    end: str = ""
    cut: set[str] = field(default_factory=set)

    @property
    def name(self) -> str:
        """The prompt, short."""
        found = _MARK.match(self.text)
        return found.group(0) + self.text[found.end() :][:8] if found else self.text[:20]


@dataclass(slots=True, kw_only=True)
class Findings:
    """What a run has shown.

    Attributes:
        violations: Broken promises; the proof holds if there are none.
        counts: Facts about the run, for the report.
    """

    violations: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Findings") -> None:
        """Take another run's findings in."""
        self.violations += other.violations
        self.counts += other.counts


class Oracle:
    """Promises by text, and bills by text in order of arrival."""

    def __init__(self) -> None:
        self.promises: dict[str, Promise] = {}
        self.bills: Counter[str] = Counter()
        self.arrivals: list[str] = []
        self.strangers: list[str] = []
        self._by_key: dict[str, Promise] = {}

    def promise(self, promise: Promise) -> Promise:
        """Write down what a device is about to ask."""
        self.promises[promise.text] = promise
        self._by_key[promise.key] = promise
        return promise

    def billed(self, texts: Iterable[str]) -> None:
        """Write down what has arrived at the cloud."""
        for text in texts:
            self.bills[text] += 1
            (self.arrivals if text in self.promises else self.strangers).append(text)

    def cut(self, attempts: Iterable[Attempt]) -> None:
        """Write down which attempts a kill has cut off; one that is found after several kills was cut off once."""
        for attempt in attempts:
            if (promise := self._by_key.get(attempt.key)) is not None:
                promise.cut.add(attempt.id)

    def text_of(self, key: str) -> str:
        """The prompt that belongs to a key."""
        return self._by_key[key].text if key in self._by_key else ""

    @property
    def accepted_jobs(self) -> list[Promise]:
        """Jobs that must not be lost."""
        return [promise for promise in self.promises.values() if promise.is_job and promise.accepted]

    @property
    def calls(self) -> list[Promise]:
        """Live calls."""
        return [promise for promise in self.promises.values() if not promise.is_job]

    def judged(self) -> Findings:
        """Compare promises with bills."""
        findings = Findings(violations=[f"the cloud got what nobody asked: {text!r}" for text in self.strangers])
        for promise in self.promises.values():
            bills = self.bills[promise.text]
            findings.violations += [f"{promise.name} {problem}" for problem in _problems(promise, bills)]
            findings.counts += _counted(promise, bills)
        findings.violations += self._order_problems() + self._id_problems()
        findings.counts["bills"] = self.bills.total()
        return findings

    def _order_problems(self) -> list[str]:
        """Jobs of a conversation arrive in the order in which they were promised, also those that are sent again."""
        number = {text: index for index, text in enumerate(self.promises)}
        newest: dict[str, str] = {}
        problems = []
        for text in self.arrivals:
            promise = self.promises[text]
            if not promise.conversation_id:
                continue
            before = newest.setdefault(promise.conversation_id, text)
            if number[text] < number[before]:
                problems.append(f"{promise.name} arrived after {self.promises[before].name} of the same conversation")
            newest[promise.conversation_id] = max(before, text, key=number.__getitem__)
        return problems

    def _id_problems(self) -> list[str]:
        owners: dict[str, list[Promise]] = {}
        for promise in self.promises.values():
            for job_id in promise.job_ids:
                owners.setdefault(job_id, []).append(promise)
        return [
            f"{' and '.join(promise.name for promise in found)} were given the same job {job_id}"
            for job_id, found in owners.items()
            if len(found) > 1
        ]


def _problems(promise: Promise, bills: int) -> list[str]:
    return [
        sentence
        for is_so, sentence in (
            *(_job_problems if promise.is_job else _call_problems)(promise, bills),
            (promise.end.startswith("REFUSED"), f"was {promise.end.lower()}, which nothing here is a reason for"),
            (promise.end.startswith("REFUSED") and bills > 0, f"was refused and billed {bills} times"),
            (bool(promise.answers - {promise.text}), f"was answered with {sorted(promise.answers - {promise.text})!r}"),
            (bool(promise.answers) and not bills, "was answered and never asked"),
            (bool(promise.told - {promise.end}), f"was told {sorted(promise.told)} and ended {promise.end}"),
            (promise.end == _UNKNOWN and not promise.cut, "was given up for unknown, and no kill has cut it off"),
        )
        if is_so
    ]


def _job_problems(promise: Promise, bills: int) -> list[tuple[bool, str]]:
    end, cut = promise.end, len(promise.cut)
    most = 1 + (promise.resends and cut > 0)
    return [
        (len(promise.job_ids) > 1, f"has several jobs under one key: {sorted(promise.job_ids)}"),
        (promise.accepted and end not in ("SUCCEEDED", _UNKNOWN), f"was accepted and ended {end or 'nowhere'}"),
        (end == "SUCCEEDED" and not promise.answers, "succeeded without an answer"),
        (bills > most, f"was billed {bills} times, {most} permitted with {cut} attempts cut off"),
        (end == _UNKNOWN and promise.resends and 0 < cut < _SECOND, "was given up although it may be sent once more"),
    ]


def _call_problems(promise: Promise, bills: int) -> list[tuple[bool, str]]:
    return [
        (bills > 1, f"was billed {bills} times under the key of a call"),
        (promise.end not in ("ANSWERED", _UNKNOWN), f"was asked and ended {promise.end or 'nowhere'}"),
    ]


def _counted(promise: Promise, bills: int) -> Counter[str]:
    kind = ("RESEND_ONCE jobs" if promise.resends else "HOLD jobs") if promise.is_job else "calls"
    counts = Counter(
        {
            f"{kind} {'accepted' if promise.accepted else 'not accepted'}": 1,
            f"{kind} ended {promise.end or 'without an answer'}": 1,
            f"{kind} billed {bills} times": 1,
            f"{kind}: attempts cut off": len(promise.cut),
        }
    )
    if promise.is_job:
        counts["jobs accepted"] = int(promise.accepted)
        counts[f"{kind}: extra bills"] = max(0, bills - 1)
    return +counts
