"""The judge is judged: each broken promise that it is there for, made up, and seen by it."""

from dataclasses import replace

import pytest
from faults.forms import Told
from faults.kinds import KINDS, Fate, Form, Kind
from faults.oracle import Seen, codes, problems

from edgeclient.simulator import Entry, Outcome

REFERENCE = "First check that the pump is on."


def kind_of(name: str) -> Kind:
    return next(kind for kind in KINDS if kind.name == name)


def entry(seq: int = 1, *, billed: int = 0, at_s: float = 0.0) -> Entry:
    return Entry(
        seq=seq,
        time=at_s,
        connection=1,
        stream_id=1,
        protocol="h2",
        method="POST",
        path="/chat/completions",
        key_fingerprint="",
        body_sha256="",
        body_bytes=1,
        client_request_id="id",
        idempotency_key=None,
        request_id="r",
        outcome=Outcome.ANSWERED if billed else Outcome.REFUSED,
        tokens_billed=billed,
    )


def seen(kind: str, told: Told, *entries: Entry, form: Form = Form.UNARY, **more: object) -> Seen:
    facts = {"passing": False, "again": None, "entries_again": entries, "reference": REFERENCE} | more
    return Seen(kind=kind_of(kind), form=form, told=told, entries=entries, **facts)  # type: ignore[arg-type]


ANSWERED = Told(state="OK", text=REFERENCE, whole=True, attempts=1)
LOST = Told(state="UNAVAILABLE", code="UNAVAILABLE", reason="UPSTREAM_INTERRUPTED", possibly_billed=True)
DOWN = Told(state="UNAVAILABLE", code="UNAVAILABLE", reason="UPSTREAM_UNAVAILABLE", delay_s=1.0)
STALLED = replace(LOST, took_s=0.9)
LIMITED = Told(state="RESOURCE_EXHAUSTED", code="RESOURCE_EXHAUSTED", reason="UPSTREAM_RATE_LIMITED", delay_s=2.0)
GIVEN_UP = Told(state="FAILED", code="UNAVAILABLE", reason="OUTCOME_UNKNOWN", possibly_billed=True)
AFTER_A_LIMIT = (entry(1, at_s=10.0), entry(2, at_s=11.3, billed=3))
GOOD = {
    "answered": seen("slow headers", ANSWERED, entry(billed=3)),
    "lost": seen("TCP reset", LOST, entry(billed=3)),
    "stalled": seen("stall between tokens", STALLED, entry()),
    "down": seen("500", DOWN, entry(1), entry(2), entry(3)),
    "once": seen("429, retry-after-ms", replace(ANSWERED, attempts=2), *AFTER_A_LIMIT, passing=True),
    "given up": seen("TCP reset", GIVEN_UP, entry(billed=3), form=Form.JOB),
}
BAD = {
    "the lost one is sent again": seen("TCP reset", LOST, entry(1, billed=3), entry(2, billed=3)),
    "a lost one is said to be free": seen("TCP reset", replace(LOST, possibly_billed=False), entry(billed=3)),
    "a lost one is said to be worth a repeat": seen("TCP reset", replace(LOST, delay_s=1.0), entry(billed=3)),
    "a time-out that does not fire": seen("stall between tokens", replace(STALLED, took_s=4.9), entry()),
    "a time-out that fires too soon": seen("stall between tokens", replace(STALLED, took_s=0.3), entry()),
    "a free one is called lost": seen("REFUSED_STREAM", LOST, entry()),
    "a free one is not tried again": seen("REFUSED_STREAM", DOWN, entry(), passing=True),
    "too many attempts": seen("500", DOWN, *(entry(number) for number in range(4))),
    "too soon": seen("429, retry-after-ms", replace(LIMITED, delay_s=1.3), entry(1, at_s=1.0), entry(2, at_s=1.5)),
    "told to come too soon": seen("429 insufficient_quota, passing", LIMITED, entry()),
    "not told when to come": seen("500", replace(DOWN, delay_s=None), entry()),
    "refused for good and repeated": seen(
        "400 content",
        Told(state="INVALID_ARGUMENT", code="INVALID_ARGUMENT", reason="CONTENT_BLOCKED"),
        entry(),
        entry(),
    ),
    "another code than the contract's": seen("500", replace(DOWN, code="INTERNAL", state="INTERNAL"), entry()),
    "half an answer": seen("slow headers", replace(ANSWERED, text=REFERENCE[:9]), entry(billed=3)),
    "an answer without an end": seen("slow headers", replace(ANSWERED, whole=False), entry(billed=3)),
    "two answers in one": seen("slow headers", replace(ANSWERED, text=2 * REFERENCE), entry(billed=3)),
    "another beginning": seen("TCP reset", replace(LOST, text="Thank you"), entry(billed=3)),
    "an answer that nobody billed": seen("slow headers", ANSWERED, entry()),
    "fewer attempts told than made": seen("slow headers", ANSWERED, entry(1), entry(2, billed=3)),
    "a key that pays twice": seen(
        "TCP reset",
        LOST,
        entry(billed=3),
        form=Form.KEYED,
        again=ANSWERED,
        entries_again=(entry(billed=3), entry(2, billed=3)),
    ),
    "a key that forgets": seen("TCP reset", LOST, entry(billed=3), form=Form.KEYED, again=DOWN),
    "a job that waits for what never comes": seen(
        "TCP reset", replace(GIVEN_UP, state="PENDING"), entry(billed=3), form=Form.JOB
    ),
    "a job whose end is told to nobody": seen("TCP reset", replace(GIVEN_UP, overslept=True), entry(), form=Form.JOB),
    "a job that is sent again": seen("TCP reset", GIVEN_UP, entry(1, billed=3), entry(2, billed=3), form=Form.JOB),
    "a job that is sent a third time": seen(
        "TCP reset", GIVEN_UP, *(entry(number, billed=3) for number in range(3)), form=Form.JOB_ONCE
    ),
    "a job that gives up with attempts left": seen(
        "500", Told(state="FAILED", code="UNAVAILABLE", reason="UPSTREAM_UNAVAILABLE"), entry(), form=Form.JOB
    ),
    "a job that loses its attempts to a dead way": seen(
        "connection refused", Told(state="FAILED", code="UNAVAILABLE", reason="UPLINK_OFFLINE"), form=Form.JOB
    ),
    "a job that does not come back": seen(
        "connection refused", Told(state="PENDING"), form=Form.JOB, again=Told(state="PENDING")
    ),
    "a queue that is burned on a dead key": seen(
        "401 key",
        Told(state="FAILED", code="FAILED_PRECONDITION", reason="UPSTREAM_CREDENTIALS"),
        *(entry(number) for number in range(3)),
        form=Form.JOB,
    ),
}


@pytest.mark.parametrize("name", GOOD)
def test_what_keeps_every_promise_is_not_complained_of(name: str) -> None:
    assert [] == problems(GOOD[name])


@pytest.mark.parametrize("name", BAD)
def test_broken_promise_is_seen(name: str) -> None:
    assert problems(BAD[name])


def test_the_contract_fixes_a_code_for_each_reason_that_a_kind_may_be_told() -> None:
    told = {reason for kind in KINDS for reason in kind.reasons}

    assert told <= codes().keys()
    assert "UNAVAILABLE" == codes()["UPLINK_OFFLINE"]
    assert all(kind.reasons for kind in KINDS if kind.fate is not Fate.ANSWERED)
