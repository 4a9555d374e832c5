"""Answers that the operator has written: which question is which.

A pinned answer is for the plain case, somebody asks a known question and nothing else, so it is given only where it
cannot be wrong: one message of the user, text alone, no functions, no other form of the answer. Standing instructions
may come with it. Questions are compared by their letters: case, width of characters, white space and the punctuation
around them do not matter; anything else does, and no language is translated into another.
"""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from edgeclient.v1 import chat_pb2

_ASKS = (chat_pb2.ROLE_UNSPECIFIED, chat_pb2.ROLE_USER)
_ROOM_FOR_SPACE = 4  # a question with more white space than letters is none that people type


@dataclass(frozen=True, slots=True, kw_only=True)
class Pinned:
    """An answer to some questions.

    Attributes:
        questions: Any of these.
        answer: The answer.
        models: Ids of the models that it stands for; empty: all.
        callers: Who gets it; empty: everybody.
    """

    questions: tuple[str, ...]
    answer: str
    models: frozenset[str] = frozenset()
    callers: frozenset[str] = frozenset()

    def is_for(self, model_id: str, caller: str) -> bool:
        """It is given to this caller, who asks this model."""
        return (not self.models or model_id in self.models) and (not self.callers or caller in self.callers)


class PinnedAnswers:
    """All of them; where several fit, the first one counts. Immutable."""

    __slots__ = ("_by_question", "_longest_characters", "count")

    def __init__(self, pinned: Iterable[Pinned] = ()) -> None:
        self._by_question: dict[str, list[Pinned]] = {}
        self.count = 0
        for each in pinned:
            self.count += 1
            for question in each.questions:
                self._by_question.setdefault(normalised(question), []).append(each)
        longest = max(map(len, self._by_question), default=0)
        self._longest_characters = longest * _ROOM_FOR_SPACE + 64

    def find(self, request: chat_pb2.ChatRequest, *, model_id: str, caller: str) -> Pinned | None:
        """The answer to a request; None: there is none."""
        if not self._by_question:
            return None
        question = _question(request)
        if not question or len(question) > self._longest_characters:
            return None
        candidates = self._by_question.get(normalised(question), ())
        return next((each for each in candidates if each.is_for(model_id, caller)), None)


def normalised(question: str) -> str:
    """The form in which questions are compared."""
    text = " ".join(unicodedata.normalize("NFKC", question).casefold().split())
    first, last = 0, len(text)
    while first < last and _is_around(text[first]):
        first += 1
    while first < last and _is_around(text[last - 1]):
        last -= 1
    return text[first:last] or text


def _is_around(character: str) -> bool:
    return character == " " or unicodedata.category(character).startswith("P")


def _question(request: chat_pb2.ChatRequest) -> str:
    """The one question of a request; "" if it is more or something else."""
    if request.tools or request.response_format.type > chat_pb2.RESPONSE_FORMAT_TYPE_TEXT:
        return ""
    asked = [message for message in request.messages if message.role != chat_pb2.ROLE_SYSTEM]
    if request.prompt:
        return "" if asked else request.prompt
    if len(asked) != 1 or asked[0].role not in _ASKS or asked[0].parts:
        return ""
    return asked[0].content
