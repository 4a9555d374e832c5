"""The chain of calls and their results.

Each call of an assistant message is answered by exactly one ROLE_TOOL message before the next message of another role.
The provider refuses a broken chain, and a model that was shown one would make up the missing result. Ids are compared
within one assistant message only: providers count them anew for every answer.
"""

from collections.abc import Sequence
from itertools import islice

from edgeclient.stages.validate.findings import Findings, shown
from edgeclient.stages.validate.rules import MOST_CALLS, Rules
from edgeclient.v1 import chat_pb2


class ToolChain:
    """Which calls wait for a result, while the messages pass in order.

    Attributes:
        waiting: Paths of the unanswered calls by id.
    """

    __slots__ = ("_answered", "_found", "_rules", "waiting")

    def __init__(self, rules: Rules, found: Findings) -> None:
        self.waiting: dict[str, str] = {}
        self._answered: set[str] = set()
        self._rules = rules
        self._found = found

    def ask(self, calls: Sequence[chat_pb2.ToolCall], path: str) -> None:
        """Take the calls of the assistant message at `path`."""
        self._answered.clear()
        for index, call in enumerate(islice(calls, MOST_CALLS)):
            where = f"{path}.tool_calls[{index}]"
            present = self._found.look(call, self._rules.tool_call, f"{where}.")
            for name in ("id", "name"):
                if name not in present:
                    self._found.add(f"{where}.{name}", self._rules.tool_call[name]("") or "is empty")
            identifier = call.id
            if identifier in self.waiting:
                self._found.add(
                    f"{where}.id",
                    f"{shown(identifier)} is the id of {self.waiting[identifier]} too; give each call its own",
                )
            elif identifier:
                self.waiting[identifier] = where

    def answer(self, identifier: str, path: str) -> None:
        """Take the ROLE_TOOL message at `path`."""
        if self.waiting.pop(identifier, None) is not None:
            self._answered.add(identifier)
            return
        if not identifier:
            problem = "is empty; repeat the id of the call that this message answers"
        elif identifier in self._answered:
            problem = f"{shown(identifier)} is answered already; each call has exactly one ROLE_TOOL message"
        elif self.waiting:
            problem = f"{shown(identifier)} is no open call; open is {shown(next(iter(self.waiting)))}"
        else:
            problem = (
                f"{shown(identifier)} is no open call; a ROLE_TOOL message stands after the assistant message"
                " whose tool_calls has this id"
            )
        self._found.add(f"{path}.tool_call_id", problem)

    def close(self, before: str) -> None:
        """Take something that is no ROLE_TOOL message: nothing may be open any more.

        Args:
            before: What comes, such as `messages[3]`; "" for the end of the request.
        """
        self._answered.clear()
        place = f"before {before}" if before else "at the end of messages"
        for identifier, where in self.waiting.items():
            self._found.add(
                where, f"is not answered; put a ROLE_TOOL message with tool_call_id {shown(identifier)} {place}"
            )
        self.waiting.clear()
