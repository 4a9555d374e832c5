"""The file of prepared answers: what it can say, and where it is wrong."""

from pathlib import Path

import builders
import pytest

from edgeclient.config.prepared_file import read_prepared
from edgeclient.config.setting import SettingError
from edgeclient.core.models import Catalogue
from edgeclient.policy.prepared import Prepared
from edgeclient.v1 import chat_pb2

MODELS = Catalogue([builders.model(), builders.model(id="qwen-max")], default="qwen-plus", aliases={"best": "qwen-max"})

GOOD = """\
[[pinned]]
questions = ["Who are you?", "你是谁"]
answer = "The node of hall 7."

[[pinned]]
questions = ["status"]
answer = "Green."
models = ["best"]
callers = ["camera-7"]

[templates.diagnose]
model = "best"
system = "You know hall 7."
prompt = "{sensor} reads {value} {unit}."
max_tokens = 200
temperature = 0
thinking = "off"
stop = ["."]
variables = { unit = "C" }

[[templates.diagnose.messages]]
role = "assistant"
content = "Ask."

[templates."v2.json"]
prompt = "Give JSON for {thing}"
response_format = { type = "json_object" }
cache_policy = "use"
offline_policy = "OFFLINE_POLICY_STALE"
max_cache_age = "3600s"
"""


def read(tmp_path: Path, text: str) -> Prepared:
    file = tmp_path / "prepared.toml"
    file.write_text(text)
    return read_prepared(file, MODELS)


def problems(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(SettingError) as caught:
        read(tmp_path, text)
    return [problem.removeprefix(str(tmp_path)) for problem in caught.value.problems]


def test_pinned_answers_are_read(tmp_path: Path) -> None:
    pinned = read(tmp_path, GOOD).pinned

    def answer(prompt: str, model_id: str = "qwen-max", caller: str = "camera-7") -> str | None:
        found = pinned.find(chat_pb2.ChatRequest(prompt=prompt), model_id=model_id, caller=caller)
        return found.answer if found else None

    assert 2 == pinned.count
    assert "The node of hall 7." == answer("你是谁", caller="anybody")
    assert ["Green.", None, None] == [
        answer("Status"),
        answer("Status", model_id="qwen-plus"),
        answer("Status", caller="camera-8"),
    ]


def test_templates_are_read(tmp_path: Path) -> None:
    templates = read(tmp_path, GOOD).templates

    made = templates["diagnose"]
    assert {"sensor", "value", "unit"} == set(made.places)
    assert {"unit": "C"} == dict(made.defaults)
    request = made.request
    assert ("best", 200, 0.0, ["."]) == (request.model, request.max_tokens, request.temperature, list(request.stop))
    assert request.HasField("temperature")
    assert (chat_pb2.THINKING_MODE_OFF, chat_pb2.ROLE_ASSISTANT) == (request.thinking, request.messages[0].role)
    other = templates["v2.json"].request
    assert chat_pb2.RESPONSE_FORMAT_TYPE_JSON_OBJECT == other.response_format.type
    assert (chat_pb2.CACHE_POLICY_USE, chat_pb2.OFFLINE_POLICY_STALE) == (other.cache_policy, other.offline_policy)
    assert 3600 == other.max_cache_age.seconds


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("pinned = 3", "/prepared.toml:1: pinned: wants rows, each below a line [[pinned]]"),
        ("[[pinned]]\nanswer = 'a'", "/prepared.toml:1: pinned[0].questions: wants at least one text in questions"),
        ("[[pinned]]\nquestions = ['q']", "/prepared.toml:1: pinned[0].answer: wants a text in answer"),
        ("[[pinned]]\nquestions = ['q']\nanswer = ''", "/prepared.toml:3: pinned[0].answer: wants a text"),
        ("[[pinned]]\nquestions = 'q'\nanswer = 'a'", "/prepared.toml:2: pinned[0].questions: questions wants a list"),
        ("[[pinned]]\nquestions = [' ']\nanswer = 'a'", "/prepared.toml:2: pinned[0].questions: wants at least one"),
        (
            "[[pinned]]\nquestions = ['q']\nanswer = 'a'\nmodels = ['qwen-mx']",
            "/prepared.toml:4: pinned[0].models: there is no model 'qwen-mx'; did you mean qwen-max",
        ),
        (
            "[[pinned]]\nquestion = 'q'\nquestions = ['q']\nanswer = 'a'",
            "/prepared.toml:2: pinned[0].question: there is no question; did you mean questions",
        ),
        ("[templtes.a]\nprompt = 'p'", "/prepared.toml:1: templtes: there is no templtes; did you mean templates"),
        ("templates = 3", "/prepared.toml:1: templates: wants tables"),
        ("[templates.'a b']\nprompt = 'p'", "/prepared.toml:1: templates.a b: wants a name of 1 to 64 characters"),
        ("[templates.a]\nmax_tokens = 3", "/prepared.toml:1: templates.a: has no text"),
        ("[templates.a]\npromt = 'p'", "/prepared.toml:2: templates.a.promt: there is no promt; did you mean prompt"),
        (
            "[templates.a]\nprompt = 'p'\nidempotency_key = 'k'",
            "/prepared.toml:3: templates.a.idempotency_key: belongs to a single call",
        ),
        ("[templates.a]\nprompt = 'p'\nmodel = 'x'", "/prepared.toml:3: templates.a.model: there is no model 'x'"),
        ("[templates.a]\nprompt = 'p'\nmax_tokens = 'many'", "/prepared.toml:1: templates.a: Failed to parse"),
        ("[templates.a]\nprompt = 'p'\nthinking = 'maybe'", "/prepared.toml:1: templates.a: Failed to parse"),
        ("[templates.a]\nprompt = 'p'\nvariables = 3", "/prepared.toml:3: templates.a.variables: wants a table"),
        (
            "[templates.a]\nprompt = '{b}'\nvariables = { b = 'x', c = 'y' }",
            "/prepared.toml:3: templates.a.variables.c: no text has the place {c}",
        ),
        (
            "[templates.a]\nprompt = 'p'\nvariables = { 'b c' = 'x' }",
            "/prepared.toml:3: templates.a.variables.b c: is no name of a place",
        ),
        ("x = ", "/prepared.toml: at its end: invalid value"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, text: str, problem: str) -> None:
    (found,) = problems(tmp_path, text)

    assert found.startswith(problem)
    assert "\n" not in found


def test_everything_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    found = problems(tmp_path, "[[pinned]]\nanswer = 3\n[templates.a]\nmodel = 'x'\n[other]")

    assert 5 == len(found)


def test_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="no such file"):
        read_prepared(tmp_path / "none.toml", MODELS)
