"""Reads an uploaded file of requests and says of each line that is wrong why.

Codes and texts of `mismatched_model`, `duplicate_custom_id`, `model_not_found`, `url_not_found` and
`mismatched_test_url` are the provider's; where it publishes none (no JSON, a missing field, too long, too many) they
are named in the same manner. A file with any error is refused as a whole, and nothing of it is run or billed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import msgspec

from edgeclient.simulator.models import EMBEDDING_MODELS

from .rules import BatchRules

CHAT_URL: Final = "/v1/chat/completions"
EMBEDDINGS_URL: Final = "/v1/embeddings"
TEST_URL: Final = "/v1/chat/ds-test"
URLS: Final = frozenset({CHAT_URL, EMBEDDINGS_URL, TEST_URL})
TEST_MODEL: Final = "batch-test-model"
# The provider's list for Beijing: aliases, hardly any dated snapshot. `sim-echo` is ours.
MODELS: Final = frozenset(
    {
        "qwen3.8-max",
        "qwen3.8-flash",
        "qwen3.7-max",
        "qwen3.7-plus",
        "qwen3.7-flash",
        "qwen3.6-plus",
        "qwen3.6-flash",
        "qwen3.5-plus",
        "qwen3.5-flash",
        "qwen3-max",
        "qwen-max",
        "qwen-plus",
        "qwen-plus-latest",
        "qwen-flash",
        "qwen-turbo",
        "qwen-long",
        "qwen-long-latest",
        "qwen3-vl-plus",
        "qwen3-vl-flash",
        "sim-echo",
        TEST_MODEL,
        *EMBEDDING_MODELS,
    }
)
ERRORS_TOLD_MAX: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class InputLine:
    """One request of a file."""

    number: int  # from 1
    custom_id: str
    url: str
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class LineError:
    """What is wrong with a line, or with the file if there is no line."""

    code: str
    message: str
    param: str | None = None
    line: int | None = None

    def view(self) -> dict[str, Any]:
        """As the API tells it."""
        return {"code": self.code, "message": self.message, "param": self.param, "line": self.line}


class _Fields(msgspec.Struct, frozen=True):
    """A line as it was written."""

    custom_id: str | None = None
    method: str | None = None
    url: str | None = None
    body: msgspec.Raw = msgspec.Raw(b"")


class _Model(msgspec.Struct, frozen=True):
    """What of a body is looked at beforehand."""

    model: str | None = None


_LINES: Final = msgspec.json.Decoder(_Fields)
_BODIES: Final = msgspec.json.Decoder(_Model)


def read_input(content: bytes, *, endpoint: str, rules: BatchRules) -> tuple[list[InputLine], list[LineError]]:
    """The requests of a file, or its errors; one of the lists is empty."""
    reader = _Reader(endpoint, rules)
    errors = list(islice(reader.errors(content), ERRORS_TOLD_MAX))
    return ([], errors) if errors else (reader.lines, [])


class _Reader:
    """Goes through one file."""

    def __init__(self, endpoint: str, rules: BatchRules) -> None:
        self.lines: list[InputLine] = []
        self._endpoint = endpoint
        self._rules = rules
        self._ids: set[str] = set()
        self._model: str | None = None

    def errors(self, content: bytes) -> Iterator[LineError]:
        """Read everything; what is good is in `lines` then."""
        texts = content.split(b"\n")
        while texts and not texts[-1].strip():
            texts.pop()
        if not texts:
            yield LineError(code="empty_file", message="The input file is empty.")
            return
        if len(texts) > self._rules.file_lines:
            text = f"The input file has {len(texts)} requests, more than the maximum of {self._rules.file_lines}."
            yield LineError(code="too_many_lines", message=text)
            return
        for number, text_of_line in enumerate(texts, 1):
            yield from self._line(number, text_of_line)
        if self._model == TEST_MODEL:
            yield from self._test_limits(content, len(texts))

    def _test_limits(self, content: bytes, lines: int) -> Iterator[LineError]:
        rules = self._rules
        if len(content) > rules.test_file_bytes:
            text = f"The input file of the test model must not be larger than {rules.test_file_bytes} bytes."
            yield LineError(code="file_too_large", message=text)
        if lines > rules.test_file_lines:
            text = f"The input file of the test model must not have more than {rules.test_file_lines} requests."
            yield LineError(code="too_many_lines", message=text)

    def _line(self, number: int, text: bytes) -> Iterator[LineError]:
        if len(text) > self._rules.line_bytes:
            message = f"This line has {len(text)} bytes, more than the maximum of {self._rules.line_bytes}."
            yield LineError(code="line_too_large", message=message, line=number)
            return
        try:
            fields = _LINES.decode(text)
            model = _BODIES.decode(fields.body).model if bytes(fields.body) else None
        except msgspec.DecodeError:
            message = "This line is not parseable as valid JSON."
            yield LineError(code="invalid_json_line", message=message, line=number)
            return
        problems = [*self._missing(fields, model, number)] or [*self._wrong(fields, model, number)]
        yield from problems
        if not problems and fields.custom_id and fields.url:
            self._ids.add(fields.custom_id)
            self._model = self._model or model
            line = InputLine(number=number, custom_id=fields.custom_id, url=fields.url, body=bytes(fields.body))
            self.lines.append(line)

    def _missing(self, fields: _Fields, model: str | None, number: int) -> Iterator[LineError]:
        given = {
            "custom_id": fields.custom_id,
            "method": fields.method,
            "url": fields.url,
            "body": bytes(fields.body),
            "body.model": model,
        }
        for name, value in given.items():
            if not value and (name != "body.model" or bytes(fields.body)):
                message = f"Missing required parameter: '{name}'."
                yield LineError(code="missing_required_parameter", message=message, param=name, line=number)

    def _wrong(self, fields: _Fields, model: str | None, number: int) -> Iterator[LineError]:
        """The first thing that is wrong with the values."""
        url, wrong = fields.url, None
        if fields.method != "POST":
            wrong = "invalid_method", "method", f"The provided method '{fields.method}' is not supported, use POST."
        elif url not in URLS:
            wrong = "url_not_found", "url", f"The provided url '{url}' is not supported by the Batch API."
        elif (url == TEST_URL) is not (model == TEST_MODEL):
            text = f"The provided URL '{url}' does not match the test model '{TEST_MODEL}'."
            wrong = "mismatched_test_url", "url", text
        elif url != self._endpoint:
            text = f"The provided url '{url}' does not match the endpoint '{self._endpoint}' of the batch."
            wrong = "mismatched_url", "url", text
        elif model not in MODELS:
            text = f"The provided model '{model}' is not supported by the Batch API."
            wrong = "model_not_found", "body.model", text
        elif self._model is not None and model != self._model:
            text = f"The model '{model}' for this request does not match the rest of the batch. "
            text += "Each batch must contain requests for a single model."
            wrong = "mismatched_model", "body.model", text
        elif fields.custom_id in self._ids:
            text = f"The custom_id '{fields.custom_id}' for this request is a duplicate of another request. "
            text += "The custom_id parameter must be unique for each request in a batch."
            wrong = "duplicate_custom_id", "custom_id", text
        if wrong is not None:
            code, param, message = wrong
            yield LineError(code=code, message=message, param=param, line=number)
