"""Conversations in memory and in a file. (The file is the subject, so there is one.)"""

from pathlib import Path

import pytest

from edgeclient.cli.conversation import Conversation
from edgeclient.cli.failure import Failure
from edgeclient.v1 import chat_pb2

QUESTION = chat_pb2.Message(role=chat_pb2.ROLE_USER, content="问")
ANSWER = chat_pb2.Message(role=chat_pb2.ROLE_ASSISTANT, content="答", reasoning_content="long")


def test_turns_are_remembered_without_reasoning() -> None:
    conversation = Conversation(system="s")
    conversation.add([QUESTION], ANSWER)
    request = conversation.request(chat_pb2.ChatRequest(model="m"), [QUESTION])

    assert [message.content for message in request.messages] == ["问", "答", "问"]
    assert (request.model, request.system) == ("m", "s")
    assert request.messages[1].reasoning_content == ""


def test_file_brings_the_conversation_back(tmp_path: Path) -> None:
    with Conversation(tmp_path / "s", system="first") as conversation:
        conversation.add([QUESTION], ANSWER)
    with Conversation(tmp_path / "s") as conversation:
        assert conversation.system == "first"
        assert [message.content for message in conversation.messages] == ["问", "答"]
    with Conversation(tmp_path / "s", system="second"):
        pass
    with Conversation(tmp_path / "s") as conversation:
        assert conversation.system == "second"
    assert "问" in (tmp_path / "s").read_text()


def test_reset_loses_nothing_on_disk(tmp_path: Path) -> None:
    with Conversation(tmp_path / "s", system="s") as conversation:
        conversation.add([QUESTION], ANSWER)
        conversation.reset()
    with Conversation(tmp_path / "s") as conversation:
        assert conversation.messages == []
        assert conversation.system == "s"
    assert "答" in (tmp_path / "s").read_text()


def test_torn_last_line_is_cut_off(tmp_path: Path) -> None:
    file = tmp_path / "s"
    file.write_text('{"role": "user", "content": "a"}\n{"role": "ROLE_ASSISTANT", "content": "b"}\n{"role": "us')
    with Conversation(file) as conversation:
        assert [message.content for message in conversation.messages] == ["a", "b"]
    assert file.read_text().endswith("}\n")


def test_file_without_any_whole_line_is_empty(tmp_path: Path) -> None:
    file = tmp_path / "s"
    file.write_text("x" * 200_000)
    with Conversation(file) as conversation:
        assert conversation.messages == []


@pytest.mark.parametrize("line", ["nonsense", "[]", '{"rolle": "user"}', '{"role": "boss"}'])
def test_foreign_file_is_refused_with_its_line(tmp_path: Path, line: str) -> None:
    file = tmp_path / "s"
    file.write_text('{"content": "a"}\n' + line + "\n")
    with pytest.raises(Failure, match="line 2 is no message"):
        Conversation(file)
    assert file.read_text().endswith(line + "\n")


def test_second_user_is_refused(tmp_path: Path) -> None:
    with Conversation(tmp_path / "s"), pytest.raises(Failure, match="in use"):
        Conversation(tmp_path / "s")


def test_file_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="cannot open"):
        Conversation(tmp_path / "none" / "s")


def test_open_calls_are_those_of_the_last_answer() -> None:
    conversation = Conversation()
    assert conversation.open_calls == []
    call = chat_pb2.ToolCall(id="c", name="f")
    conversation.add([QUESTION], chat_pb2.Message(tool_calls=[call]))
    assert conversation.open_calls == [call]
    conversation.add([chat_pb2.Message(role=chat_pb2.ROLE_TOOL, tool_call_id="c")], ANSWER)
    assert conversation.open_calls == []
