"""Puts the pieces of a streamed answer together.

A stream says each fact once: who answers in the first piece, why it ended in the last one, text in between. Whoever
shows the text as it comes still wants the whole afterwards, to keep the conversation, so both deliveries end in the
same ChatResponse.
"""

from edgeclient.v1 import chat_pb2


class Assembly:
    """The answer so far; complete once a piece had a finish_reason or a job_id."""

    def __init__(self) -> None:
        self._facts = chat_pb2.ChatResponse()
        # Joined once at the end: adding to a protobuf string copies all of it for every piece.
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._tool_calls: list[chat_pb2.ToolCall] = []

    @property
    def complete(self) -> bool:
        """The answer has ended in the way that the contract wants."""
        return bool(self._facts.finish_reason or self._facts.job_id)

    def add(self, piece: chat_pb2.StreamChatResponse) -> None:
        """Take the next piece."""
        if piece.restarted:
            self._text, self._reasoning, self._tool_calls = [], [], []
        self._text.append(piece.content)
        self._reasoning.append(piece.reasoning_content)
        self._tool_calls += piece.tool_calls
        facts = self._facts
        facts.id = piece.id or facts.id
        facts.model = piece.model or facts.model
        facts.source = piece.source or facts.source
        facts.target = piece.target or facts.target
        facts.attempt_count = piece.attempt_count or facts.attempt_count
        facts.job_id = piece.job_id or facts.job_id
        facts.upstream_id = piece.upstream_id or facts.upstream_id
        facts.finish_reason = piece.finish_reason or facts.finish_reason
        facts.possibly_billed_count = piece.possibly_billed_count or facts.possibly_billed_count
        if piece.HasField("usage"):
            facts.usage.CopyFrom(piece.usage)
        if piece.HasField("cache_age"):
            facts.cache_age.CopyFrom(piece.cache_age)

    def response(self) -> chat_pb2.ChatResponse:
        """What `Chat` would have answered, as far as it has come."""
        response = chat_pb2.ChatResponse()
        response.CopyFrom(self._facts)
        if not response.job_id:
            response.message.role = chat_pb2.ROLE_ASSISTANT
            response.message.content = "".join(self._text)
            response.message.reasoning_content = "".join(self._reasoning)
            response.message.tool_calls.extend(self._tool_calls)
        return response
