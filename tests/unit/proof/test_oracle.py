"""The oracle is not blind: each kind of broken promise is found."""

from typing import Any

import pytest
from proof.oracle import Oracle, Promise
from proof.remains import Attempt

UNKNOWN = "FAILED OUTCOME_UNKNOWN"


def text(number: int) -> str:
    return f"q-1-{number}-payload"


def promised(number: int, **over: Any) -> Promise:
    parts: dict[str, Any] = {"key": f"k{number}", "text": text(number), "is_job": True}
    return Promise(**(parts | over))


def kept(number: int, **over: Any) -> Promise:
    parts: dict[str, Any] = {
        "accepted": True, "job_ids": {f"J{number}"}, "end": "SUCCEEDED", "answers": {text(number)}}  # fmt: skip
    return promised(number, **(parts | over))


def called(number: int, **over: Any) -> Promise:
    parts: dict[str, Any] = {"is_job": False, "accepted": True, "end": "ANSWERED", "answers": {text(number)}}
    return promised(number, **(parts | over))


def judged(*promises: Promise, bills: list[int]) -> list[str]:
    oracle = Oracle()
    for promise in promises:
        oracle.promise(promise)
    oracle.billed(text(number) for number in bills)
    return oracle.judged().violations


def test_kept_promises_are_no_violations() -> None:
    resent = kept(2, resends=True, cut={"a"})
    held = kept(3, end=UNKNOWN, answers=set(), cut={"b"})
    live = called(4, told={"ANSWERED"})
    lost_call = called(5, accepted=False, end=UNKNOWN, answers=set(), cut={"c"})
    twice_cut = kept(6, resends=True, end=UNKNOWN, answers=set(), cut={"d", "e"})
    never_sent = kept(7, end=UNKNOWN, answers=set(), cut={"f"})
    promises = [kept(1, told={"SUCCEEDED"}), resent, held, live, lost_call, twice_cut, never_sent]

    assert [] == judged(*promises, bills=[1, 2, 2, 3, 4, 5, 6, 6])


@pytest.mark.parametrize(
    ("promise", "bills", "violation"),
    [
        # lost
        (kept(1, end="LOST JOB_NOT_FOUND: no such job", answers=set()), [1], "was accepted and ended LOST"),
        (kept(1, end="", answers=set()), [], "was accepted and ended nowhere"),
        (kept(1, end="PENDING", answers=set()), [], "was accepted and ended PENDING"),
        (kept(1, end="FAILED STORAGE_UNAVAILABLE", answers=set()), [1], "was accepted and ended FAILED STORAGE"),
        (called(1, accepted=False, end="", answers=set()), [], "was asked and ended nowhere"),
        # ended early
        (kept(1, end="EXPIRED DEADLINE", answers=set()), [], "was accepted and ended EXPIRED"),
        (kept(1, end="CANCELLED CANCELLED", answers=set()), [], "was accepted and ended CANCELLED"),
        (kept(1, end=UNKNOWN, answers=set()), [1], "was given up for unknown, and no kill"),
        (called(1, end=UNKNOWN, answers=set()), [1], "was given up for unknown, and no kill"),
        (kept(1, resends=True, end=UNKNOWN, answers=set(), cut={"a"}), [1], "although it may be sent once more"),
        # billed too often
        (kept(1), [1, 1], "was billed 2 times, 1 permitted with 0 attempts cut off"),
        (kept(1, cut={"a"}), [1, 1], "was billed 2 times, 1 permitted with 1 attempts cut off"),
        (kept(1, resends=True), [1, 1], "was billed 2 times, 1 permitted with 0 attempts cut off"),
        (kept(1, resends=True, cut={"a", "b"}), [1, 1, 1], "was billed 3 times, 2 permitted"),
        (called(1), [1, 1], "was billed 2 times under the key of a call"),
        (called(1, accepted=False, end=UNKNOWN, answers=set(), cut={"a"}), [1, 1], "was billed 2 times under the key"),
        # altered
        (kept(1, answers={"another text"}), [1], "was answered with ['another text']"),
        (kept(1, answers={text(1), "another text"}), [1], "was answered with ['another text']"),
        (called(1, answers={text(2)}), [1], "was answered with"),
        (kept(1, answers=set()), [1], "succeeded without an answer"),
        (kept(1), [], "was answered and never asked"),
        (kept(1), [1, 9], "the cloud got what nobody asked"),
        # told otherwise
        (kept(1, told={UNKNOWN}, cut={"a"}), [1], "was told ['FAILED OUTCOME_UNKNOWN'] and ended SUCCEEDED"),
        (kept(1, told={"LOST JOB_NOT_FOUND"}), [1], "was told ['LOST JOB_NOT_FOUND'] and ended"),
        (called(1, told={"ANSWERED", UNKNOWN}, cut={"a"}), [1], "was told ['ANSWERED', 'FAILED OUTCOME_UNKNOWN']"),
        (kept(1, job_ids={"J1", "J2"}), [1], "has several jobs under one key"),
        (promised(1, end="REFUSED QUEUE_FULL: no"), [], "which nothing here is a reason for"),
        (promised(1, end="REFUSED QUEUE_FULL: no"), [1], "was refused and billed 1 times"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_broken_promise_is_found(promise: Promise, bills: list[int], violation: str) -> None:
    found = judged(promise, bills=bills)

    assert any(violation in sentence for sentence in found), found


def test_two_requests_with_one_job_are_found() -> None:
    (found,) = judged(kept(1, job_ids={"J"}), kept(2, job_ids={"J"}), bills=[1, 2])

    assert "q-1-1-payload and q-1-2-payload were given the same job J" == found


def test_a_conversation_out_of_order_is_found() -> None:
    first, second = kept(1, conversation_id="c"), kept(2, conversation_id="c")

    assert [] == judged(first, second, bills=[1, 2])
    assert any("arrived after" in found for found in judged(first, second, bills=[2, 1]))
    assert [] == judged(kept(1), kept(2), bills=[2, 1])
    assert [] == judged(first, kept(2, conversation_id="d"), bills=[2, 1])


def test_a_resend_that_is_overtaken_within_its_conversation_is_found() -> None:
    first = kept(1, conversation_id="c", resends=True, cut={"a"})

    assert [] == judged(first, kept(2, conversation_id="c"), bills=[1, 1, 2])
    assert any("arrived after" in found for found in judged(first, kept(2, conversation_id="c"), bills=[1, 2, 1]))


def test_an_attempt_that_is_found_after_two_kills_excuses_one_bill() -> None:
    oracle = Oracle()
    promise = oracle.promise(kept(1, resends=True, end=UNKNOWN, answers=set()))
    attempt = Attempt(key="k1", id="a", epoch=1, is_job=True)

    oracle.cut([attempt])
    oracle.cut([attempt])
    oracle.billed([promise.text])

    assert {"a"} == promise.cut
    assert any("although it may be sent once more" in found for found in oracle.judged().violations)


def test_what_was_found_is_counted() -> None:
    oracle = Oracle()
    for promise in (kept(1), kept(2, resends=True, cut={"a"}), called(3)):
        oracle.promise(promise)
    oracle.billed([text(1), text(2), text(2), text(3)])

    counts = oracle.judged().counts

    assert (4, 2, 1, 1, 1) == (
        counts["bills"],
        counts["jobs accepted"],
        counts["HOLD jobs billed 1 times"],
        counts["RESEND_ONCE jobs: extra bills"],
        counts["calls ended ANSWERED"],
    )
