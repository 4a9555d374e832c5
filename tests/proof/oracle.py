"""The books of the proof: what devices were promised, what the cloud was asked, and whether the two agree.

It lives in another process than the node and believes nothing that the node says of itself. *Billed* means: a whole
request has arrived at the cloud. That is stricter than any provider, which may charge less for a cut connection.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

_MARK = re.compile(r"q-\d+-\d+-")


@dataclass(slots=True, kw_only=True)
class Promise:
    """One key, and everything that was heard about it.

    Attributes:
        key: Idempotency key.
        text: The prompt; the cloud answers with the same text.
        is_job: Submitted as a job; else asked as a live call.
        resends: The job may be sent once more after an attempt of unknown outcome.
        conversation_id: "" for none.
        accepted: The node has answered the submit; from here on it must not be lost.
        job_ids: All ids that the node gave for this key.
        answers: All texts that the node gave as the answer.
        end: Name of the terminal state, with the reason of a failure.
    """

    key: str
    text: str
    is_job: bool
    resends: bool = False
    conversation_id: str = ""
    accepted: bool = False
    job_ids: set[str] = field(default_factory=set)
    answers: set[str] = field(default_factory=set)
    end: str = ""


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
        self.sending_at_kills = 0
        self.resendable_at_kills = 0

    def promise(self, promise: Promise) -> Promise:
        """Write down what a device is about to ask."""
        self.promises[promise.text] = promise
        return promise

    def billed(self, texts: Iterable[str]) -> None:
        """Write down what has arrived at the cloud."""
        for text in texts:
            if text not in self.promises:
                self.strangers.append(text)
            elif not self.bills[text]:
                self.arrivals.append(text)
            self.bills[text] += 1

    @property
    def accepted_jobs(self) -> list[Promise]:
        """Jobs that must not be lost."""
        return [promise for promise in self.promises.values() if promise.is_job and promise.accepted]

    def judged(self) -> Findings:
        """Compare promises with bills."""
        findings = Findings(violations=[f"the cloud got what nobody asked: {text!r}" for text in self.strangers])
        extra_by_resend = 0
        for promise in self.promises.values():
            bills = self.bills[promise.text]
            findings.violations += _job_problems(promise, bills) if promise.is_job else _call_problems(promise, bills)
            findings.violations += _common_problems(promise, bills)
            if promise.is_job and promise.resends:
                extra_by_resend += max(0, bills - 1)
            kind = "job" if promise.is_job else "call"
            findings.counts[f"{kind}s {'accepted' if promise.accepted else 'not accepted'}"] += 1
            findings.counts[f"{kind}s ended {promise.end or 'without an answer'}"] += 1
            findings.counts[f"{kind}s billed {bills} times"] += 1
        if extra_by_resend > self.resendable_at_kills:
            permitted = f"{self.resendable_at_kills} were in flight at kills"
            findings.violations.append(f"{extra_by_resend} bills by resending, {permitted}")
        findings.violations += self._order_problems()
        findings.counts["attempts in flight at kills"] = self.sending_at_kills
        findings.counts["of these resendable"] = self.resendable_at_kills
        findings.counts["bills by resending"] = extra_by_resend
        findings.counts["bills"] = self.bills.total()
        return findings

    def _order_problems(self) -> list[str]:
        """Jobs of a conversation arrive in the order in which they were promised."""
        number = {text: index for index, text in enumerate(self.promises)}
        newest: dict[str, str] = {}
        problems = []
        for text in self.arrivals:
            conversation_id = self.promises[text].conversation_id
            before = newest.get(conversation_id, text)
            if conversation_id and number[text] < number[before]:
                problems.append(f"{_short(text)} arrived after {_short(before)} of the same conversation")
            newest[conversation_id] = text
        return problems


def _common_problems(promise: Promise, bills: int) -> list[str]:
    problems = []
    if len(promise.job_ids) > 1:
        problems.append(f"key {promise.key} has several jobs: {sorted(promise.job_ids)}")
    if wrong := promise.answers - {promise.text}:
        problems.append(f"{_short(promise.text)} was answered with {sorted(wrong)!r}")
    if promise.answers and not bills:
        problems.append(f"{_short(promise.text)} was answered and never asked")
    return problems


def _job_problems(promise: Promise, bills: int) -> list[str]:
    name = _short(promise.text)
    problems = []
    if promise.accepted and promise.end not in ("SUCCEEDED", "FAILED OUTCOME_UNKNOWN"):
        problems.append(f"{name} was accepted and ended {promise.end or 'nowhere'}")
    if promise.end == "SUCCEEDED" and not promise.answers:
        problems.append(f"{name} succeeded without an answer")
    most = 2 if promise.resends else 1
    if bills > most:
        problems.append(f"{name} was billed {bills} times, {most} permitted")
    return problems


def _call_problems(promise: Promise, bills: int) -> list[str]:
    if bills > 1:
        return [f"{_short(promise.text)} (call) was billed {bills} times under one key"]
    return []


def _short(text: str) -> str:
    found = _MARK.match(text)
    return found.group(0) + text[found.end() :][:8] if found else text[:20]
