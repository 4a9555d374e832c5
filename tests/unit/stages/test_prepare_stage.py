"""What the operator has written is given as it is, and says that no model was asked."""

from typing import Protocol

import builders
import pytest

from edgeclient.core.cache_events import AnswerReused
from edgeclient.core.call import Call, Delta, Reply
from edgeclient.core.errors import Rejected
from edgeclient.core.events import Event
from edgeclient.policy.pinned import Pinned, PinnedAnswers
from edgeclient.policy.prepared import Prepared
from edgeclient.policy.template import Template
from edgeclient.stages.prepare import Prepare
from edgeclient.v1 import chat_pb2

ME = Pinned(questions=("Who are you?",), answer="The node of hall 7.")
DIAGNOSE = Template(name="diagnose", request=chat_pb2.ChatRequest(prompt="{sensor} reads {value}"))


class Provider(Protocol):
    calls: list[Call]

    async def __call__(self, call: Call, /) -> Reply: ...


class Bench:
    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.events: list[Event] = []
        self.prepared = Prepared(pinned=PinnedAnswers([ME]), templates={"diagnose": DIAGNOSE})
        self.stage = Prepare(lambda: self.prepared, observe=self.events.append)


@pytest.fixture
def bench(provider: Provider) -> Bench:
    return Bench(provider)


async def test_pinned_question_is_answered_without_a_model(bench: Bench) -> None:
    call = builders.call(request=builders.chat_request(prompt="who are you"))

    response = (await bench.stage(call, bench.provider)).response

    assert [] == bench.provider.calls
    assert ("The node of hall 7.", "", chat_pb2.RESPONSE_SOURCE_PINNED, chat_pb2.FINISH_REASON_STOP) == (
        response.message.content,
        response.model,
        response.source,
        response.finish_reason,
    )
    assert response.HasField("usage")
    assert 0 == response.usage.total_tokens + response.attempt_count
    assert call.shared
    assert ["pinned"] == [event.source for event in bench.events if isinstance(event, AnswerReused)]


async def test_pinned_answer_goes_to_a_stream_as_a_piece(bench: Bench) -> None:
    got: list[tuple[str, int]] = []

    async def emit(delta: Delta) -> None:
        got.append((delta.content, call.source))

    call = builders.call(request=builders.chat_request(prompt="Who are you?"), emit=emit)
    await bench.stage(call, bench.provider)

    assert [("The node of hall 7.", chat_pb2.RESPONSE_SOURCE_PINNED)] == got


async def test_any_other_question_goes_on(bench: Bench) -> None:
    reply = await bench.stage(builders.call(), bench.provider)

    assert "answer 1" == reply.response.message.content


async def test_change_of_what_is_prepared_takes_effect(bench: Bench) -> None:
    bench.prepared = Prepared()

    await bench.stage(builders.call(request=builders.chat_request(prompt="Who are you?")), bench.provider)

    assert 1 == len(bench.provider.calls)


def test_template_is_written_out(bench: Bench) -> None:
    asked = chat_pb2.ChatRequest(template="diagnose", variables={"sensor": "boiler", "value": "97"})

    assert "boiler reads 97" == bench.stage.expand(asked).request.messages[0].content


@pytest.mark.parametrize(
    ("asked", "fields", "says"),
    [
        (chat_pb2.ChatRequest(template="diagnos"), ["template"], "the nearest is 'diagnose'"),
        (chat_pb2.ChatRequest(template="xyz"), ["template"], "prepare.file"),
        (chat_pb2.ChatRequest(variables={"a": "b"}), ["variables"], "goes with a template"),
        (
            chat_pb2.ChatRequest(template="diagnose", variables={"value": "1", "valeu": "2"}),
            ["variables.valeu", "variables.sensor"],
            "first of 2 problems",
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_its_path(
    bench: Bench, asked: chat_pb2.ChatRequest, fields: list[str], says: str
) -> None:
    with pytest.raises(Rejected) as caught:
        bench.stage.expand(asked)

    assert "INVALID_REQUEST" == caught.value.reason_name
    assert fields == [problem.field for problem in caught.value.violations]
    assert says in caught.value.message
