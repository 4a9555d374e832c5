"""A template is written out before anything is decided, and its own faults are not told as the caller's."""

from typing import Any

import builders
import pytest

from edgeclient.config.schema import ChatConfig
from edgeclient.core.call import Call, Reply
from edgeclient.core.errors import Rejected
from edgeclient.core.models import Catalogue
from edgeclient.policy.prepared import Prepared
from edgeclient.policy.template import Template
from edgeclient.stages.prepare import Prepare
from edgeclient.stages.validate import Validate
from edgeclient.v1 import chat_pb2

MODELS = Catalogue([builders.model(), builders.model(id="qwen-max")], default="qwen-plus")


def stage(*, cached: bool = False, **fields: Any) -> Validate:
    template = Template(name="t", request=chat_pb2.ChatRequest(**fields))
    prepare = Prepare(lambda: Prepared(templates={"t": template}), observe=lambda _: None)
    return Validate(catalogue=MODELS, config=ChatConfig(), cached=cached, expand=prepare.expand)


def asked(**fields: Any) -> Call:
    return builders.call(request=chat_pb2.ChatRequest(**({"template": "t"} | fields)), model=None)


def refused(validate: Validate, call: Call) -> Rejected:
    with pytest.raises(Rejected) as caught:
        validate.admit(call)
    return caught.value


def test_call_goes_on_as_what_the_template_means() -> None:
    call = asked(variables={"a": "boiler"})
    stage(prompt="{a}?", model="qwen-max", max_tokens=7).admit(call)

    assert ("boiler?", 7, "") == (call.request.messages[0].content, call.request.max_tokens, call.request.template)
    assert call.model is not None
    assert "qwen-max" == call.model.id


def test_what_the_caller_wrote_is_remembered() -> None:
    call = asked(variables={"a": "boiler"})
    before = chat_pb2.ChatRequest()
    before.CopyFrom(call.request)

    stage(prompt="{a}?").admit(call)

    assert before == call.asked


def test_call_without_a_template_is_as_it_was_asked() -> None:
    call = builders.call(model=None)
    request = call.request

    stage(prompt="P").admit(call)

    assert call.request is request
    assert call.asked is None


@pytest.mark.parametrize(
    ("fields", "path", "says"),
    [
        ({"template": "a b"}, "template", "1 to 64 characters"),
        ({"variables": {"a b": "c"}}, "variables", "'a b'"),
        ({"variables": {"": "c"}}, "variables", "is empty"),
        ({"variables": {"a": "x" * 4097}}, "variables", "4097 characters"),
        ({"variables": {f"v{n}": "x" for n in range(33)}}, "variables", "33 variables"),
    ],
)
def test_names_and_sizes_are_bounded_before_anything_is_looked_for(
    fields: dict[str, Any], path: str, says: str
) -> None:
    error = refused(stage(prompt="{a}"), asked(**fields))

    assert [path] == [problem.field for problem in error.violations]
    assert says in error.message


def test_value_is_never_quoted() -> None:
    error = refused(stage(prompt="P"), asked(variables={"a": "secret"}))

    assert "secret" not in error.message


def test_what_the_template_stands_for_has_to_be_right() -> None:
    assert ["max_tokens"] == [each.field for each in refused(stage(prompt="P"), asked(max_tokens=-1)).violations]


def test_path_of_a_message_is_that_of_the_caller() -> None:
    validate = stage(messages=[chat_pb2.Message(content="M")], prompt="P")
    wrong = chat_pb2.Message(role=chat_pb2.ROLE_TOOL)

    error = refused(validate, asked(messages=[chat_pb2.Message(content="ok"), wrong]))

    assert {"messages[1].tool_call_id", "messages[1].content"} <= {problem.field for problem in error.violations}
    assert error.message.startswith("messages[1]")


def test_fault_of_the_template_is_told_as_its_own() -> None:
    error = refused(stage(messages=[chat_pb2.Message(role=chat_pb2.ROLE_SYSTEM)]), asked(prompt="hi"))

    assert {"template"} == {problem.field for problem in error.violations}
    assert "'t': messages[0].content" in error.message


def test_node_without_templates_says_so() -> None:
    validate = Validate(catalogue=MODELS, config=ChatConfig())

    assert "no templates" in refused(validate, asked()).message


async def test_call_and_job_may_rely_on_the_cache_where_there_is_one() -> None:
    async def provider(_call: Call) -> Reply:
        return Reply()

    request = builders.chat_request(cache_policy=chat_pb2.CACHE_POLICY_ONLY)
    with_cache = stage(cached=True, prompt="P")

    await with_cache(builders.call(request=request), provider)
    with_cache.admit(builders.call(request=request))
    assert "CACHE_MISS" == refused(stage(prompt="P"), builders.call(request=request)).reason_name
    with pytest.raises(Rejected):
        await stage(prompt="P")(builders.call(request=request), provider)
