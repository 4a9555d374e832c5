"""The oracle is not blind: each kind of broken promise is found."""

from typing import Any

import pytest
from proof.oracle import Oracle, Promise


def promised(number: int, **over: Any) -> Promise:
    parts: dict[str, Any] = {"key": f"k{number}", "text": f"q-1-{number}-payload", "is_job": True}
    return Promise(**(parts | over))


def kept(number: int, **over: Any) -> Promise:
    text = f"q-1-{number}-payload"
    parts: dict[str, Any] = {"accepted": True, "job_ids": {f"J{number}"}, "end": "SUCCEEDED", "answers": {text}}
    return promised(number, **(parts | over))


def judged(*promises: Promise, bills: list[int], resendable: int = 0) -> list[str]:
    oracle = Oracle()
    oracle.resendable_at_kills = resendable
    for promise in promises:
        oracle.promise(promise)
    oracle.billed(f"q-1-{number}-payload" for number in bills)
    return oracle.judged().violations


def test_kept_promises_are_no_violations() -> None:
    uncertain = kept(3, end="FAILED OUTCOME_UNKNOWN", answers=set())
    live = promised(4, is_job=False, accepted=True, end="ANSWERED", answers={"q-1-4-payload"})

    assert [] == judged(kept(1), kept(2, resends=True), uncertain, live, bills=[1, 2, 2, 3, 4], resendable=1)


@pytest.mark.parametrize(
    ("promise", "bills", "violation"),
    [
        (kept(1, end="LOST", answers=set()), [1], "was accepted and ended LOST"),
        (kept(1, end="", answers=set()), [], "was accepted and ended nowhere"),
        (kept(1, end="EXPIRED", answers=set()), [], "was accepted and ended EXPIRED"),
        (kept(1, answers=set()), [1], "succeeded without an answer"),
        (kept(1), [1, 1], "was billed 2 times, 1 permitted"),
        (kept(1, resends=True), [1, 1], "1 bills by resending, 0 were in flight"),
        (kept(1, resends=True), [1, 1, 1], "was billed 3 times, 2 permitted"),
        (kept(1, answers={"another text"}), [1], "was answered with"),
        (kept(1), [], "was answered and never asked"),
        (kept(1, job_ids={"J1", "J2"}), [1], "has several jobs"),
        (kept(1), [1, 9], "the cloud got what nobody asked"),
        (promised(1, is_job=False), [1, 1], "was billed 2 times under one key"),
    ],
)
def test_a_broken_promise_is_found(promise: Promise, bills: list[int], violation: str) -> None:
    assert any(violation in found for found in judged(promise, bills=bills))


def test_a_conversation_out_of_order_is_found() -> None:
    first, second = kept(1, conversation_id="c"), kept(2, conversation_id="c")

    assert [] == judged(first, second, bills=[1, 2])
    assert any("arrived after" in found for found in judged(first, second, bills=[2, 1]))
    assert [] == judged(kept(1), kept(2), bills=[2, 1])
