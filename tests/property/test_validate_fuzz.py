"""Whatever a device sends, validation answers, and what it says can be acted on.

Requests come from three sources: arbitrary bytes that happen to parse, random trees over the whole contract in which
most values are wrong, and requests that are built to be right.
"""

import re
from collections.abc import Coroutine
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgeclient.config.schema import ChatConfig
from edgeclient.core.call import Call, Reply
from edgeclient.core.deadline import Deadline
from edgeclient.core.errors import CallError, Rejected
from edgeclient.core.models import Catalogue, ModelSpec, Thinking
from edgeclient.stages.validate import Validate
from edgeclient.v1 import chat_pb2

STEP = re.compile(r"([a-z_]+)(?:\[(\d+)\])?")
MODELS = (
    ModelSpec(id="off", max_output_tokens=100, max_reasoning_tokens=100, thinking=Thinking.OFF),
    ModelSpec(id="on", thinking=Thinking.ON, limits_reasoning=True, takes_effort=True, modalities=("image",)),
    ModelSpec(id="always", thinking=Thinking.ALWAYS),
    ModelSpec(id="never", tools=False, json_mode=False),
    ModelSpec(id="all", thinking=Thinking.OFF, modalities=("image", "audio", "video")),
)
STAGE = Validate(catalogue=Catalogue(MODELS, default="off"), config=ChatConfig(max_messages=6))
FUZZ = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def run(answer: Coroutine[Any, Any, Reply]) -> Reply:
    """Run a coroutine that waits for nothing: an event loop for each example would cost more than the example."""
    try:
        answer.send(None)
    except StopIteration as end:
        reply: Reply = end.value
        return reply
    raise AssertionError("validation waits for nothing")


async def _arrive(call: Call) -> Reply:
    return Reply(response=chat_pb2.ChatResponse(model=call.model.id if call.model else ""))


def outcome(request: chat_pb2.ChatRequest) -> CallError | None:
    """What the stage says. Any exception that is no `CallError` fails the test."""
    call = Call(id="1", request=request, caller="fuzz", deadline=Deadline())
    try:
        reply = run(STAGE(call, _arrive))
    except CallError as error:
        return error
    assert reply.response.model
    return None


def resolve(message: Message, path: str) -> None:
    """Walk the path through the message; every step has to be there."""
    here: Any = message
    for step in path.split("."):
        found = STEP.fullmatch(step)
        assert found, f"{step!r} of {path!r} is no step"
        name, index = found[1], found[2]
        assert name in here.DESCRIPTOR.fields_by_name, f"{path!r}: no field {name!r}"
        here = getattr(here, name)
        if index is not None:
            assert int(index) < len(here), f"{path!r}: no element {index}"
            here = here[int(index)]


def check_answer(request: chat_pb2.ChatRequest) -> None:
    before = request.SerializeToString(deterministic=True)
    error = outcome(request)
    assert before == request.SerializeToString(deterministic=True)
    if error is None:
        return
    assert isinstance(error, Rejected)
    assert error.reason_name in {"INVALID_REQUEST", "MODEL_NOT_FOUND", "CACHE_MISS"}
    assert bool(error.violations) == (error.reason_name == "INVALID_REQUEST")
    assert 0 < len(error.message) <= 512
    for violation in error.violations:
        resolve(request, violation.field)
        assert 0 < len(violation.description) <= 256
        assert not violation.description.endswith(".")


WORDS_OF_THE_CONTRACT = ("a", "c1", "search", "off", "on", "always", "never", "json", "image/png", "https://h/a")
CORNERS = (
    "",
    "{}",
    '{"a":1}',
    '{"type":"object"}',
    "[[[[",
    "x" * 65,
    "{" * 5000,
    '{"top_k":1,"seed":2}',
    "http://",
    "\0",
)
TEXTS = st.one_of(st.text(max_size=6), st.sampled_from(WORDS_OF_THE_CONTRACT), st.sampled_from(CORNERS))
INTEGERS = st.one_of(st.integers(-2, 8), st.integers(-(2**31), 2**31 - 1))
SCALARS: dict[int, st.SearchStrategy[Any]] = {
    FieldDescriptor.CPPTYPE_STRING: TEXTS,
    FieldDescriptor.CPPTYPE_INT32: INTEGERS,
    FieldDescriptor.CPPTYPE_INT64: st.one_of(INTEGERS, st.integers(-(2**63), 2**63 - 1)),
    FieldDescriptor.CPPTYPE_ENUM: INTEGERS,
    FieldDescriptor.CPPTYPE_BOOL: st.booleans(),
    FieldDescriptor.CPPTYPE_FLOAT: st.one_of(st.floats(width=32), st.floats(-2, 2, width=32)),
}


@st.composite
def trees(draw: st.DrawFn, kind: type[Message] = chat_pb2.ChatRequest) -> Message:
    """A message of any shape: each field is absent, or holds values from the corners of its type."""
    message = kind()
    for field in kind.DESCRIPTOR.fields:
        if draw(st.integers(0, 2)):
            continue
        for _ in range(draw(st.integers(1, 3)) if field.is_repeated else 1):
            _fill(draw, message, field)
    return message


def _fill(draw: st.DrawFn, message: Message, field: Any) -> None:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        getattr(message, field.name)[draw(TEXTS)] = draw(TEXTS)  # both sides of the only map are text
        return
    if field.message_type is not None:
        inner = draw(trees(GetMessageClass(field.message_type)))
        target = getattr(message, field.name)
        if field.is_repeated:
            target.append(inner)
        else:
            target.SetInParent()
            target.CopyFrom(inner)
        return
    kind = st.binary(max_size=4) if field.type == FieldDescriptor.TYPE_BYTES else SCALARS[field.cpp_type]
    value = draw(kind)
    if field.is_repeated:
        getattr(message, field.name).append(value)
    else:
        setattr(message, field.name, value)


NAMES = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True).filter(lambda name: name != "search")
KEYS = st.from_regex(r"[A-Za-z0-9_.:-]{1,64}", fullmatch=True)
WORDS = st.text(min_size=1, max_size=20)


@st.composite
def conversations(draw: st.DrawFn) -> list[chat_pb2.Message]:
    """Turns that keep the rules, with chains of calls whose results come in any order."""
    messages = [
        chat_pb2.Message(
            role=draw(st.sampled_from([chat_pb2.ROLE_UNSPECIFIED, chat_pb2.ROLE_USER, chat_pb2.ROLE_SYSTEM])),
            content=draw(WORDS),
        )
    ]
    if draw(st.booleans()):
        parts = [chat_pb2.ContentPart(text=draw(WORDS))]
        kind = draw(st.sampled_from(["image", "audio", "video"]))
        media = draw(
            st.sampled_from(
                [chat_pb2.Media(url="https://host/a"), chat_pb2.Media(data=b"a", mime_type=f"{kind}/x-any")]
            )
        )
        part = chat_pb2.ContentPart()
        getattr(part, kind).CopyFrom(media)
        messages.append(chat_pb2.Message(parts=[*parts, part]))
    ids = draw(st.lists(NAMES, max_size=3, unique=True))
    if ids:
        arguments = st.sampled_from(["", "{}", ' {"a": [1, {"b": null}]} '])
        calls = [chat_pb2.ToolCall(id=each, name=draw(NAMES), arguments=draw(arguments)) for each in ids]
        messages.append(chat_pb2.Message(role=chat_pb2.ROLE_ASSISTANT, tool_calls=calls))
        messages += [
            chat_pb2.Message(role=chat_pb2.ROLE_TOOL, tool_call_id=each, content=draw(WORDS))
            for each in draw(st.permutations(ids))
        ]
    return messages


@st.composite
def valid_requests(draw: st.DrawFn) -> chat_pb2.ChatRequest:
    """A request that keeps every rule."""
    request = chat_pb2.ChatRequest(
        model=draw(st.sampled_from(["all", "ALL", " all"])),
        messages=draw(conversations()),
        system=draw(st.sampled_from(["", "Answer in JSON."])),
        prompt=draw(st.sampled_from(["", "Go on."])),
        max_tokens=draw(st.integers(0, 2**31 - 1)),
        top_p=draw(st.floats(0, 1, width=32)),
        stop=draw(st.lists(WORDS, max_size=8)),
        priority=draw(st.sampled_from(chat_pb2.Priority.values())),
        cache_policy=draw(st.sampled_from(chat_pb2.CachePolicy.values()[:-1])),
        offline_policy=draw(
            st.sampled_from([chat_pb2.OFFLINE_POLICY_FAIL, chat_pb2.OFFLINE_POLICY_WAIT, chat_pb2.OFFLINE_POLICY_STALE])
        ),
        thinking=draw(st.sampled_from(chat_pb2.ThinkingMode.values())),
        label=draw(st.text(max_size=64)),
        conversation_id=draw(st.one_of(st.just(""), KEYS)),
        extra_json=draw(st.sampled_from(["", "{}", '{"top_k":5,"search_options":{"forced_search":true}}'])),
        include_reasoning=draw(st.booleans()),
    )
    if draw(st.booleans()):
        request.temperature = draw(st.floats(0, 2, exclude_max=True, width=32))
        request.seed = draw(st.integers(0, 2**31 - 1))
        request.presence_penalty = draw(st.floats(-2, 2, width=32))
        request.frequency_penalty = draw(st.floats(-2, 2, width=32))
        request.timeout.FromNanoseconds(draw(st.integers(1, 600 * 10**9)))
        request.max_cache_age.FromNanoseconds(draw(st.integers(0, 10**15)))
        request.stream_flush_interval.FromNanoseconds(draw(st.integers(0, 10 * 10**9)))
    names = draw(st.lists(NAMES, max_size=4, unique=True))
    schema = st.sampled_from(["", "{}", '{"type":"object","properties":{"a":{"type":"string"}},"required":["a"]}'])
    for name in names:
        request.tools.add().function.MergeFrom(chat_pb2.FunctionTool(name=name, parameters=draw(schema)))
    thinking = request.thinking > chat_pb2.THINKING_MODE_OFF
    if names and not thinking and draw(st.booleans()):
        request.tool_choice.function = draw(st.sampled_from(names))
    if thinking and draw(st.booleans()):
        request.thinking_budget_tokens = draw(st.integers(1, 2**31 - 1))
    if request.system and not thinking and draw(st.booleans()):
        request.response_format.type = chat_pb2.RESPONSE_FORMAT_TYPE_JSON_OBJECT
    return request


@FUZZ
@given(st.binary(max_size=200))
def test_arbitrary_bytes_never_cause_another_error_than_a_call_error(data: bytes) -> None:
    request = chat_pb2.ChatRequest()
    try:
        request.ParseFromString(data)
    except DecodeError:
        return
    check_answer(request)


@FUZZ
@given(trees())
def test_every_violation_names_a_field_that_is_there(message: Message) -> None:
    assert isinstance(message, chat_pb2.ChatRequest)
    check_answer(message)


@FUZZ
@given(trees(), st.binary(min_size=1, max_size=8), st.integers(0, 2**16))
def test_damaged_request_never_causes_another_error_than_a_call_error(
    message: Message, noise: bytes, place: int
) -> None:
    data = message.SerializeToString()
    at = place % (len(data) + 1)
    request = chat_pb2.ChatRequest()
    try:
        request.ParseFromString(data[:at] + noise + data[at + len(noise) :])
    except DecodeError:
        return
    check_answer(request)


@FUZZ
@given(valid_requests())
def test_request_that_keeps_the_rules_passes(request: chat_pb2.ChatRequest) -> None:
    assert outcome(request) is None
