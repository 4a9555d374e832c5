"""Valid things for tests: each builder takes what a test is about and fills in the rest.

Nothing here leaves the machine: addresses are loopback with a free port, and the provider is a port where nobody
listens, so a test that forgets to name its upstream fails at once instead of calling the internet.
"""

from collections.abc import Mapping
from typing import Any

from edgeclient.config.models import built_in_models
from edgeclient.config.row_schema import ROWS
from edgeclient.config.schema import SECTIONS, Config
from edgeclient.config.target_schema import TargetConfig
from edgeclient.core.call import Call
from edgeclient.core.deadline import Deadline
from edgeclient.core.models import ModelSpec, Thinking
from edgeclient.v1 import chat_pb2

NOBODY_LISTENS = "http://127.0.0.1:9/compatible-mode/v1"

_LOOPBACK: Mapping[str, Mapping[str, Any]] = {
    "node": {"id": "test-node"},
    "ingress": {"listen": "127.0.0.1:0"},
    "upstream": {"base_url": NOBODY_LISTENS, "proxy": "none"},
    "admin": {"listen": "127.0.0.1:0"},
}


def config(**sections: Any) -> Config:
    """A configuration with the built-in models: `config(ingress={"drain_s": 1})`.

    Sections are given as dictionaries of the settings that matter; `models` adds models, `targets`, `prices`, `limits`
    and `callers` are rows.
    """
    added = tuple(sections.pop("models", ()))
    rows = {name: tuple(sections.pop(name, ())) for name in ROWS}
    assert sections.keys() <= SECTIONS.keys(), f"no such section: {sorted(sections.keys() - SECTIONS.keys())}"
    loopback = {**_LOOPBACK, **({"upstream": {"proxy": "none"}} if rows["targets"] else {})}
    made = {name: cls(**{**loopback.get(name, {}), **sections.get(name, {})}) for name, cls in SECTIONS.items()}
    parts: dict[str, Any] = {**made, "models": (*added, *built_in_models()), **rows}
    return Config(**parts)


def target(name: str, **over: Any) -> TargetConfig:
    """A row for a target on a port where nobody listens."""
    facts: dict[str, Any] = {"name": name, "base_url": NOBODY_LISTENS, "keyless": "api_key_file" not in over}
    return TargetConfig(**(facts | over))


def model(**over: Any) -> ModelSpec:
    """A hybrid model that thinks if it is told to, like the default model."""
    facts: dict[str, Any] = {
        "id": "qwen-plus",
        "context_window_tokens": 1_000_000,
        "max_output_tokens": 32_768,
        "max_reasoning_tokens": 81_920,
        "thinking": Thinking.OFF,
    }
    return ModelSpec(**(facts | over))


def chat_request(**fields: Any) -> chat_pb2.ChatRequest:
    """A request of one user message; `prompt` is left out if the test brings messages."""
    if "messages" not in fields:
        fields.setdefault("prompt", "Is 97 degrees hot for a boiler?")
    return chat_pb2.ChatRequest(**fields)


def call(**over: Any) -> Call:
    """A unary call of a device that waits for ever, validated, with nothing sent yet."""
    parts: dict[str, Any] = {
        "id": "01JAAAAAAAAAAAAAAAAAAAAAAA",
        "request": chat_request(),
        "caller": "device-7",
        "deadline": Deadline(),
        "model": model(),
    }
    return Call(**(parts | over))
