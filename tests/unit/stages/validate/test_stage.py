"""The stage as the road sees it."""

from dataclasses import replace
from typing import Any

import pytest
from google.protobuf import json_format

from edgeclient.config.schema import ChatConfig
from edgeclient.core.call import Call, Reply
from edgeclient.core.callers import Caller, Callers, Known
from edgeclient.core.deadline import Deadline
from edgeclient.core.errors import Reason, Rejected
from edgeclient.core.models import Catalogue, ModelSpec
from edgeclient.stages.validate import Validate
from edgeclient.v1 import chat_pb2


class Road:
    """The rest of the road: answers everything and keeps what came."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    async def __call__(self, call: Call) -> Reply:
        self.calls.append(call)
        return Reply(response=chat_pb2.ChatResponse(model="seen"))


@pytest.fixture
def stage(models: tuple[ModelSpec, ...]) -> Validate:
    return Validate(
        catalogue=Catalogue([*models, ModelSpec(id="qwen-plus")], default="off"),
        config=ChatConfig(max_messages=200),
    )


def call(**fields: Any) -> Call:
    request = json_format.ParseDict(fields, chat_pb2.ChatRequest())
    return Call(id="1", request=request, caller="test", deadline=Deadline())


async def refusal(stage: Validate, **fields: Any) -> Rejected:
    road = Road()
    with pytest.raises(Rejected) as caught:
        await stage(call(**fields), road)
    assert road.calls == []
    return caught.value


async def test_valid_request_is_forwarded_unchanged_and_with_its_model(stage: Validate) -> None:
    road, asked = Road(), call(prompt="hi", model="ON", timeout="5s")
    before = asked.request.SerializeToString(deterministic=True)
    reply = await stage(asked, road)
    assert reply.response.model == "seen"
    assert [asked] == road.calls
    assert asked.model is not None
    assert asked.model.id == "on"
    assert before == asked.request.SerializeToString(deterministic=True)


async def test_request_without_model_gets_the_default(stage: Validate) -> None:
    asked = call(prompt="hi")
    await stage(asked, Road())
    assert asked.model is not None
    assert asked.model.id == "off"


async def test_unknown_model_is_refused_with_the_nearest_names(stage: Validate) -> None:
    error = await refusal(stage, prompt="hi", model="qwen-plsu")
    assert error.reason_name == "MODEL_NOT_FOUND"
    assert error.message == "model: 'qwen-plsu' is not known to this node; the nearest is qwen-plus"
    assert error.violations == ()


async def test_unknown_model_that_resembles_none_is_refused(stage: Validate) -> None:
    error = await refusal(stage, prompt="hi", model="zzzzzzzzz")
    assert error.message == "model: 'zzzzzzzzz' is not known to this node; ListModels tells what there is"


async def test_unknown_model_stands_among_other_violations(stage: Validate) -> None:
    error = await refusal(stage, prompt="hi", model="zzzzzzzzz", seed=-1)
    assert error.reason_name == "INVALID_REQUEST"
    assert [each.field for each in error.violations] == ["model", "seed"]


async def test_endless_model_name_is_refused_without_looking_for_names_like_it(stage: Validate) -> None:
    error = await refusal(stage, prompt="hi", model="m" * 1_000_000)
    assert error.reason_name == "INVALID_REQUEST"
    assert error.message == "model: has 1000000 characters; write 1 to 128 characters"


async def test_sentence_of_a_single_violation_is_the_violation(stage: Validate) -> None:
    error = await refusal(stage, prompt="hi", seed=-1)
    assert error.message == "seed: -1 is out of range; write at least 0 and at most 2147483647"
    assert error.retry_after_s is None
    assert not error.possibly_billed


async def test_sentence_tells_how_many_problems_there_are(stage: Validate) -> None:
    error = await refusal(stage, prompt="hi", seed=-1, top_p=2)
    assert error.message.endswith(" (the first of 2 problems)")


async def test_at_most_32_violations_are_listed_and_all_are_counted(stage: Validate) -> None:
    error = await refusal(stage, messages=[{"role": "ROLE_USER"}] * 100)
    assert len(error.violations) == 32
    assert error.message == (
        "messages[0].content: is empty; write a text (the first of 100 problems, of which 32 are listed)"
    )
    error = await refusal(stage, model="zzzzzzzzz", messages=[{"role": "ROLE_USER"}] * 100)
    assert len(error.violations) == 32
    assert error.violations[0].field == "model"
    assert "of 101 problems" in error.message


async def test_only_a_cached_answer_is_a_miss_on_a_node_without_cache(stage: Validate) -> None:
    error = await refusal(stage, prompt="hi", cache_policy="CACHE_POLICY_ONLY")
    assert error.reason_name == "CACHE_MISS"
    error = await refusal(stage, prompt="hi", cache_policy="CACHE_POLICY_ONLY", seed=-1)
    assert error.reason_name == "INVALID_REQUEST"


async def test_no_sentence_holds_a_prompt_or_an_argument(stage: Validate) -> None:
    secret = "s3cret-s3cret"
    error = await refusal(
        stage,
        system=secret,
        prompt=secret,
        stop=[secret, ""],
        label=secret * 9,
        extra_json=f'{{"top_k": "{secret}"',
        tools=[{"function": {"name": "f", "description": secret, "parameters": f'{{"type":"{secret}"}}'}}],
        messages=[
            {"role": "ROLE_TOOL", "content": secret},
            {
                "role": "ROLE_ASSISTANT",
                "content": secret,
                "reasoning_content": secret,
                "tool_calls": [{"arguments": f'{{"a":"{secret}'}],
            },
            {"parts": [{"text": secret}, {"image": {"url": f"http://{secret}", "mime_type": secret}}]},
        ],
    )
    assert len(error.violations) > 8
    assert secret not in error.message + repr(error.violations)


async def test_node_without_extra_keys_says_so(models: tuple[ModelSpec, ...]) -> None:
    stage = Validate(catalogue=Catalogue(models, default="off"), config=ChatConfig(extra_keys=[]))
    error = await refusal(stage, prompt="hi", extra_json='{"top_k":1}')
    assert error.message == "extra_json: key 'top_k' is not allowed at this node; no key is"


@pytest.mark.parametrize("fields", [{"idempotency_key": "k-1"}, {"offline_policy": "OFFLINE_POLICY_QUEUE"}])
async def test_node_with_a_durable_queue_keeps_what_others_refuse(
    models: tuple[ModelSpec, ...], fields: dict[str, str]
) -> None:
    durable = Validate(catalogue=Catalogue(models, default="off"), config=ChatConfig(), durable=True)
    assert (await durable(call(prompt="hi", **fields), Road())).response.model == "seen"
    await refusal(Validate(catalogue=Catalogue(models, default="off"), config=ChatConfig()), prompt="hi", **fields)


async def test_model_that_is_not_open_to_the_caller_is_not_found(models: tuple[ModelSpec, ...]) -> None:
    mine = Caller(models=frozenset({"off"}))
    stage = Validate(
        catalogue=Catalogue(models, default="off"),
        config=ChatConfig(),
        callers=Callers([Known(name="test", caller=mine)]),
    )
    error = await refusal(stage, prompt="hi", model="on")
    assert error.reason == Reason.ERROR_REASON_MODEL_NOT_FOUND
    await stage(call(prompt="hi"), Road())


async def test_priority_above_the_callers_own_is_taken_down_in_a_copy(models: tuple[ModelSpec, ...]) -> None:
    stage = Validate(
        catalogue=Catalogue(models, default="off"),
        config=ChatConfig(),
        callers=Callers(others=Caller(max_priority=chat_pb2.PRIORITY_NORMAL)),
    )
    high, low = call(prompt="hi", priority="PRIORITY_HIGH"), call(prompt="hi", priority="PRIORITY_LOW")
    sent, road = high.request, Road()
    await stage(high, road)
    await stage(low, road)
    assert [each.request.priority for each in road.calls] == [chat_pb2.PRIORITY_NORMAL, chat_pb2.PRIORITY_LOW]
    assert sent.priority == chat_pb2.PRIORITY_HIGH


async def test_a_fresh_start_and_a_promise_to_pay_once_exclude_each_other(models: tuple[ModelSpec, ...]) -> None:
    stage = Validate(catalogue=Catalogue(models, default="off"), config=ChatConfig(), durable=True)

    error = await refusal(stage, prompt="hi", restart_stream=True, idempotency_key="k")

    (problem,) = error.violations
    assert ("restart_stream", True) == (problem.field, "set one of the two" in problem.description)
    await stage(call(prompt="hi", restart_stream=True), Road())


async def test_which_models_may_stand_in(models: tuple[ModelSpec, ...]) -> None:
    mine = Caller(models=frozenset({"off"}))
    known = Callers([Known(name="test", caller=mine)])
    open_to_all = Validate(catalogue=Catalogue(models, default="off"), config=ChatConfig())
    closed = Validate(catalogue=Catalogue(models, default="off"), config=ChatConfig(), callers=known)
    on = next(model for model in models if model.id == "on")
    never = replace(on, tools=False)
    tool = {"function": {"name": "f"}}

    assert open_to_all.permits(call(prompt="hi"), on)
    assert not closed.permits(call(prompt="hi"), on)
    assert open_to_all.permits(call(prompt="hi", tools=[tool]), on)
    assert not open_to_all.permits(call(prompt="hi", tools=[tool]), never)
