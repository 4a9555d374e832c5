"""Real HTTP clients for tests that talk to the simulated cloud."""

import json
import ssl
from datetime import timedelta
from typing import Any

import httpx
from pyreqwest.client import Client, ClientBuilder

from edgeclient.simulator import Simulator

GUARD_S = 10


def http(sim: Simulator, *, http2: bool = True, key: str = "sk-test") -> httpx.AsyncClient:
    """An httpx client. Note that it never resets an HTTP/2 stream: it leaves one only by closing the connection."""
    context = ssl.create_default_context(cafile=sim.ca_file) if sim.ca_file else False
    headers = {"authorization": f"Bearer {key}"}
    return httpx.AsyncClient(base_url=sim.base_url, verify=context, http2=http2, headers=headers, timeout=GUARD_S)


def reqwest(sim: Simulator) -> Client:
    """A client on Rust's hyper, which does reset streams."""
    assert sim.ca_file is not None
    builder = ClientBuilder().add_root_certificate_pem(sim.ca_file.read_bytes()).http2(enable=True)
    builder = builder.base_url(f"{sim.base_url}/").timeout(timedelta(seconds=GUARD_S))
    return builder.default_headers({"authorization": "Bearer sk-test"}).build()


def ask(text: str = "How do I reset the pump?", **over: Any) -> dict[str, Any]:
    """A chat request; the model answers with the text."""
    return {"model": "sim-echo", "messages": [{"role": "user", "content": text}]} | over


def chunks_of(text: str) -> list[Any]:
    """The chunks of a streamed answer; [DONE] stays a string."""
    data = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    return [each if each == "[DONE]" else json.loads(each) for each in data]
