"""Roles, contents, parts and the chain of calls and results."""

from typing import Any

import pytest

Messages = list[dict[str, Any]]


def user(text: str = "hi") -> dict[str, Any]:
    return {"role": "ROLE_USER", "content": text}


def asks(*ids: str, **over: Any) -> dict[str, Any]:
    calls = [{"id": each, "name": "read_temp", "arguments": "{}"} | over for each in ids]
    return {"role": "ROLE_ASSISTANT", "tool_calls": calls}


def result(identifier: str) -> dict[str, Any]:
    return {"role": "ROLE_TOOL", "tool_call_id": identifier, "content": '{"celsius":97}'}


def parts(*each: dict[str, Any]) -> Messages:
    return [{"parts": list(each)}]


IMAGE = {"image": {"url": "https://host/a.jpg"}}
BAD: list[tuple[Messages, str, str]] = [
    ([{"role": "ROLE_USER"}], "messages[0].content", "is empty; write a text"),
    ([{"role": "ROLE_SYSTEM"}, user()], "messages[0].content", "is empty; write a text"),
    (
        [user(), asks("c1"), {"role": "ROLE_TOOL", "tool_call_id": "c1"}],
        "messages[2].content",
        "is empty; write what the function returned, for instance {}",
    ),
    (
        [{"content": "hi", "parts": [{"text": "ho"}]}],
        "messages[0].parts",
        "stands beside content; put the text into a part and leave content empty",
    ),
    (
        [{"role": "ROLE_SYSTEM", "parts": [{"text": "ho"}]}],
        "messages[0].parts",
        "belongs to ROLE_USER, and this message has ROLE_SYSTEM; leave it out",
    ),
    (
        [{"content": "hi", "tool_calls": [{"id": "c1", "name": "f"}]}],
        "messages[0].tool_calls",
        "belongs to ROLE_ASSISTANT, and this message has ROLE_USER; leave it out",
    ),
    (
        [user() | {"tool_call_id": "c1"}],
        "messages[0].tool_call_id",
        "belongs to ROLE_TOOL, and this message has ROLE_USER; leave it out",
    ),
    (
        [user() | {"reasoning_content": "hm"}],
        "messages[0].reasoning_content",
        "belongs to ROLE_ASSISTANT, and this message has ROLE_USER; leave it out",
    ),
    (
        [user(), asks("c1")],
        "messages[1].tool_calls[0]",
        "is not answered; put a ROLE_TOOL message with tool_call_id 'c1' at the end of messages",
    ),
    (
        [user(), asks("c1", "c2"), result("c2"), user()],
        "messages[1].tool_calls[0]",
        "is not answered; put a ROLE_TOOL message with tool_call_id 'c1' before messages[3]",
    ),
    (
        [user(), asks("c1"), result("c1"), result("c1")],
        "messages[3].tool_call_id",
        "'c1' is answered already; each call has exactly one ROLE_TOOL message",
    ),
    (
        [user(), asks("c1", "c2"), result("c1"), result("c9"), result("c2")],
        "messages[3].tool_call_id",
        "'c9' is no open call; open is 'c2'",
    ),
    (
        [user(), result("c1")],
        "messages[1].tool_call_id",
        "'c1' is no open call; a ROLE_TOOL message stands after the assistant message whose tool_calls has this id",
    ),
    (
        [user(), asks("c1"), result("c1"), {"role": "ROLE_TOOL", "content": "{}"}],
        "messages[3].tool_call_id",
        "is empty; repeat the id of the call that this message answers",
    ),
    (
        [user(), asks("c1", "c1"), result("c1")],
        "messages[1].tool_calls[1].id",
        "'c1' is the id of messages[1].tool_calls[0] too; give each call its own",
    ),
    (
        [user(), asks("")],
        "messages[1].tool_calls[0].id",
        "is empty; write 1 to 64 printable ASCII characters",
    ),
    (
        [user(), asks("c1", name=""), result("c1")],
        "messages[1].tool_calls[0].name",
        "is empty; write 1 to 64 characters of [A-Za-z0-9_-]",
    ),
    (
        [user(), asks("c1", name="read temp"), result("c1")],
        "messages[1].tool_calls[0].name",
        "has a character that is not allowed; write 1 to 64 characters of [A-Za-z0-9_-]",
    ),
    (
        [user(), asks("c1", arguments="boiler"), result("c1")],
        "messages[1].tool_calls[0].arguments",
        "is no JSON object: invalid character (byte 0)",
    ),
    (
        [user(), asks("c1", arguments='"boiler"'), result("c1")],
        "messages[1].tool_calls[0].arguments",
        "is no JSON object: expected `object`, got `str`",
    ),
    (
        [user(), asks("c1", arguments='{"sensor":"boi'), result("c1")],
        "messages[1].tool_calls[0].arguments",
        "is no JSON object: it breaks off",
    ),
    (
        [user(), asks("c1", arguments='{"a":' * 5000 + "1" + "}" * 5000), result("c1")],
        "messages[1].tool_calls[0].arguments",
        "is nested too deeply; at most 32 levels are allowed",
    ),
    (parts({}), "messages[0].parts[0]", "is empty; set text, image, audio or video"),
    (parts(IMAGE, {"text": ""}), "messages[0].parts[1].text", "is empty; leave the part out"),
    (parts({"image": {}}), "messages[0].parts[0].image", "has no source; set url or data"),
    (
        parts({"image": {"url": "http://host/a.jpg"}}),
        "messages[0].parts[0].image.url",
        "is no https URL; write https://host/path",
    ),
    (
        parts({"image": {"url": "data:image/png;base64,AAAA"}}),
        "messages[0].parts[0].image.url",
        "is a data URL; put the bytes into data",
    ),
    *(
        (
            parts({"image": {"url": url}}),
            "messages[0].parts[0].image.url",
            "is no URL that can be fetched; write https://host/path",
        )
        for url in ("https:///a.jpg", "https://[::1", "https://host:port/", "https://ho st/", "https://host/a\n")
    ),
    (
        parts({"image": {"url": "https://host/" + "a" * 8192}}),
        "messages[0].parts[0].image.url",
        "has 8205 characters; at most 8192 are allowed",
    ),
    (
        parts({"image": {"data": "AAAA"}}),
        "messages[0].parts[0].image.mime_type",
        "is empty; write for instance image/jpeg",
    ),
    (
        parts({"video": {"data": "AAAA", "mime_type": "image/png"}}),
        "messages[0].parts[0].video.mime_type",
        "is no type of this kind; write for instance video/mp4",
    ),
    (
        parts({"audio": {"url": "https://host/a.wav", "mime_type": "wav"}}),
        "messages[0].parts[0].audio.mime_type",
        "is no type of this kind; write for instance audio/wav",
    ),
    (
        parts({"image": {"data": "", "mime_type": "image/png"}}),
        "messages[0].parts[0].image.data",
        "is empty; put the bytes there or set url",
    ),
    (parts(*[{"text": "a"}] * 257), "messages[0].parts", "has 257 parts; at most 256 are allowed"),
]
GOOD: list[Messages] = [
    [{"content": "hi"}],
    [user(), {"role": "ROLE_ASSISTANT", "content": "ho"}, user()],
    [user(), {"role": "ROLE_ASSISTANT"}, user()],
    [user(), {"role": "ROLE_ASSISTANT", "content": "So", "reasoning_content": "hm", "name": "boiler"}],
    [user(), asks("c1"), result("c1")],
    [user(), asks("c1", "c2"), result("c2"), result("c1"), {"role": "ROLE_ASSISTANT", "content": "97"}],
    [user(), asks("c1"), result("c1"), asks("c1"), result("c1"), user()],
    [user(), asks("c1", arguments=""), result("c1")],
    [user(), asks("c1") | {"content": "Let me see.", "reasoning_content": "hm"}, result("c1")],
    [user(), {"role": "ROLE_SYSTEM", "content": "Be brief."}, user()],
    parts({"text": "What is this?"}, IMAGE),
    parts({"image": {"data": "AAAA", "mime_type": "IMAGE/JPEG"}}),
    parts({"audio": {"url": "HTTPS://host:8443/a?b#c", "mime_type": "audio/x-wav"}}),
]


@pytest.mark.parametrize(("messages", "path", "sentence"), BAD, ids=lambda value: str(value)[:40])
def test_bad_conversation_is_refused_in_these_words(examine: Any, messages: Messages, path: str, sentence: str) -> None:
    assert [(path, sentence)] == examine({"messages": messages}, "never")


@pytest.mark.parametrize("messages", GOOD, ids=lambda value: str(value)[:40])
def test_good_conversation_passes(examine: Any, messages: Messages) -> None:
    assert examine({"messages": messages}, "never") == []


def test_prompt_does_not_answer_a_call(examine: Any) -> None:
    sentence = "is not answered; put a ROLE_TOOL message with tool_call_id 'c1' before prompt"
    assert [("messages[1].tool_calls[0]", sentence)] == examine({"messages": [user(), asks("c1")], "prompt": "go on"})


def test_chain_that_is_cut_off_by_the_limit_is_not_blamed(examine: Any) -> None:
    messages = [*[user()] * 39, asks("c1"), result("c1")]
    assert examine({"messages": messages}) == [("messages", "has 41 messages; at most 40 are allowed")]


def test_answer_of_the_node_can_be_put_back_as_it_is(examine: Any) -> None:
    cut_off_while_thinking = {"role": "ROLE_ASSISTANT"}
    assert examine({"messages": [user(), cut_off_while_thinking], "prompt": "go on"}) == []


def test_media_that_the_model_cannot_take_are_refused(examine: Any) -> None:
    messages = parts({"text": "hi"}, IMAGE)
    assert examine({"messages": messages}, "off") == [
        ("messages[0].parts[1].image", "off takes text only; choose a model that takes image"),
    ]
    messages = parts({"audio": {"url": "https://host/a.wav"}})
    assert examine({"messages": messages}, "on") == [
        ("messages[0].parts[0].audio", "on takes text and image and video only; choose a model that takes audio"),
    ]


def test_long_id_is_shortened_in_the_sentence(examine: Any) -> None:
    (_, sentence), *_ = examine({"messages": [user(), asks("c" * 64)]})
    assert f"{'c' * 40!r}..." in sentence
    assert "c" * 41 not in sentence


def test_id_has_to_be_ascii_wherever_it_stands(examine: Any) -> None:
    sentence = "has a character that is not allowed; write 1 to 64 printable ASCII characters"
    assert examine({"messages": [user(), asks("c\u00e4"), result("c\u00e4")]}) == [
        ("messages[1].tool_calls[0].id", sentence),
        ("messages[2].tool_call_id", sentence),
    ]
