"""An answer is given twice only where the caller asked for that, or for the same answer each time."""

from typing import Any

import builders
import pytest

from edgeclient.policy.cache_rules import (
    CacheDefault,
    CachePlan,
    cache_plan,
    fresh_s,
    is_reproducible,
    is_whole,
    may_be_shared,
)
from edgeclient.v1 import chat_pb2

BYPASS, REPRODUCIBLE, USE = CacheDefault.BYPASS, CacheDefault.REPRODUCIBLE, CacheDefault.USE
BOTH = CachePlan(read=True, write=True)
FIXED = {"temperature": 0.0}
PICTURE = chat_pb2.Message(parts=[chat_pb2.ContentPart(image=chat_pb2.Media(url="https://cam/latest.jpg"))])
BYTES = chat_pb2.Message(parts=[chat_pb2.ContentPart(image=chat_pb2.Media(data=b"\xff\xd8", mime_type="image/jpeg"))])


def request(policy: str = "UNSPECIFIED", **fields: Any) -> chat_pb2.ChatRequest:
    return builders.chat_request(cache_policy=chat_pb2.CachePolicy.Value(f"CACHE_POLICY_{policy}"), **fields)


@pytest.mark.parametrize("default", CacheDefault)
@pytest.mark.parametrize("fields", [{}, FIXED])
@pytest.mark.parametrize(
    ("policy", "plan"),
    [
        ("USE", BOTH),
        ("REFRESH", CachePlan(write=True)),
        ("BYPASS", CachePlan()),
        ("ONLY", CachePlan(read=True, only=True)),
    ],
)
def test_caller_that_says_what_it_wants_gets_it(
    default: CacheDefault, fields: dict[str, Any], policy: str, plan: CachePlan
) -> None:
    assert plan == cache_plan(request(policy, **fields), default=default)


@pytest.mark.parametrize(
    ("default", "fields", "plan"),
    [
        (BYPASS, {}, CachePlan()),
        (BYPASS, FIXED, CachePlan()),
        (REPRODUCIBLE, {}, CachePlan()),
        (REPRODUCIBLE, FIXED, BOTH),
        (USE, {}, BOTH),
        (USE, FIXED, BOTH),
    ],
)
def test_node_decides_for_the_others(default: CacheDefault, fields: dict[str, Any], plan: CachePlan) -> None:
    assert plan == cache_plan(request(**fields), default=default)


@pytest.mark.parametrize(
    ("policy", "plan"),
    [
        ("UNSPECIFIED", CachePlan(write=True, stale=True)),
        ("USE", CachePlan(read=True, write=True, stale=True)),
        ("REFRESH", CachePlan(write=True, stale=True)),
        ("BYPASS", CachePlan()),
        ("ONLY", CachePlan(read=True, only=True)),
    ],
)
def test_who_wants_outdated_answers_in_an_outage_has_its_answers_kept(policy: str, plan: CachePlan) -> None:
    asked = request(policy, offline_policy=chat_pb2.OFFLINE_POLICY_STALE)

    assert plan == cache_plan(asked, default=REPRODUCIBLE)


@pytest.mark.parametrize(
    ("policy", "plan"),
    [("UNSPECIFIED", CachePlan()), ("USE", BOTH), ("REFRESH", CachePlan(write=True)), ("BYPASS", CachePlan())],
)
def test_stored_job_waits_for_the_way_instead_of_taking_what_is_outdated(policy: str, plan: CachePlan) -> None:
    asked = request(policy, offline_policy=chat_pb2.OFFLINE_POLICY_STALE)

    assert plan == cache_plan(asked, default=REPRODUCIBLE, stored=True)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, False),
        ({"temperature": 0.0}, True),
        ({"temperature": 0.1}, False),
        ({"seed": 0}, True),
        ({"seed": 7, "temperature": 1.0}, True),
        ({"temperature": 0.0, "messages": [PICTURE]}, False),
        ({"temperature": 0.0, "messages": [BYTES]}, True),
        ({"temperature": 0.0, "extra_json": '{"top_k":1}'}, True),
        ({"temperature": 0.0, "extra_json": '{"enable_search":true}'}, False),
        ({"temperature": 0.0, "extra_json": '{"enable_search":false}'}, True),
        ({"temperature": 0.0, "extra_json": '{"enable_code_interpreter":1}'}, False),
        ({"temperature": 0.0, "extra_json": "[1]"}, False),
        ({"temperature": 0.0, "extra_json": "{"}, False),
    ],
)
def test_same_answer_each_time_is_what_fixed_sampling_without_a_window_to_the_world_asks_for(
    fields: dict[str, Any], *, expected: bool
) -> None:
    assert expected is is_reproducible(request(**fields))


@pytest.mark.parametrize(
    ("policy", "fields", "expected"),
    [
        ("UNSPECIFIED", {}, False),
        ("UNSPECIFIED", FIXED, True),
        ("USE", {}, True),
        ("REFRESH", FIXED, False),
        ("BYPASS", FIXED, False),
        ("USE", {"restart_stream": True}, False),
    ],
)
def test_running_calls_are_shared_by_the_same_rule(policy: str, fields: dict[str, Any], *, expected: bool) -> None:
    assert expected is may_be_shared(request(policy, **fields))


@pytest.mark.parametrize(
    ("reason", "message", "expected"),
    [
        ("STOP", {"content": "yes"}, True),
        ("TOOL_CALLS", {"tool_calls": [{"id": "c", "name": "n"}]}, True),
        ("LENGTH", {"content": "yes"}, False),
        ("CONTENT_FILTER", {"content": "yes"}, False),
        ("OTHER", {"content": "yes"}, False),
        ("UNSPECIFIED", {"content": "yes"}, False),
        ("STOP", {}, False),
        ("STOP", {"reasoning_content": "hm"}, False),
    ],
)
def test_only_a_whole_good_answer_is_kept(reason: str, message: dict[str, Any], *, expected: bool) -> None:
    finish_reason = chat_pb2.FinishReason.Value(f"FINISH_REASON_{reason}")

    assert expected is is_whole(chat_pb2.ChatResponse(finish_reason=finish_reason, message=chat_pb2.Message(**message)))


def test_queued_request_is_no_answer() -> None:
    queued = chat_pb2.ChatResponse(
        finish_reason=chat_pb2.FINISH_REASON_STOP, message=chat_pb2.Message(content="yes"), job_id="01JOB"
    )

    assert not is_whole(queued)


def test_caller_decides_how_old_an_answer_may_be() -> None:
    assert 300.0 == fresh_s(request(), ttl_s=300.0)
    assert 1.5 == fresh_s(request(max_cache_age={"seconds": 1, "nanos": 500_000_000}), ttl_s=300.0)
    assert 0.0 == fresh_s(request(max_cache_age={}), ttl_s=300.0)
    assert 3600.0 == fresh_s(request(max_cache_age={"seconds": 3600}), ttl_s=300.0)
