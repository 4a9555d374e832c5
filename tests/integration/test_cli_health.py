"""`edgeclient health` against a node: plaintext, TLS under any name, the port for probes, and what is not there."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from fakes.command_line import Finished, command
from harness.certificates import Authority
from harness.node import Node

from edgeclient.simulator import Simulator

CHAT = "edgeclient.v1.ChatService"


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator() as sim:
        yield sim


@pytest.fixture
def pair(tmp_path: Path) -> dict[str, str]:
    certificate, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    Authority().issue("node-7.example").write(certificate, key)
    return {"tls_certificate_file": str(certificate), "tls_key_file": str(key)}


async def asked(*arguments: str, **settings: str) -> Finished:
    flags = [part for name, value in settings.items() for part in ("--set", f"ingress.{name}={value}")]
    return await command("health", *flags, *arguments, DASHSCOPE_API_KEY="sk-test")


async def test_a_node_that_serves_is_told_with_code_0(sim: Simulator) -> None:
    async with Node(sim) as node:
        done = await asked(listen=node.address)

    assert (0, "SERVING\n", "") == (done.code, done.out, done.err)


async def test_its_own_certificate_is_trusted_under_its_own_name(sim: Simulator, pair: dict[str, str]) -> None:
    async with Node(sim, ingress=pair) as node:
        with_it = await asked(listen=node.address, **pair)
        without = await asked("--timeout", "1", listen=node.address)

    assert (0, "SERVING\n") == (with_it.code, with_it.out)
    assert 69 == without.code


async def test_the_port_for_probes_is_asked_first(sim: Simulator, pair: dict[str, str], tmp_path: Path) -> None:
    probes = {**pair, "health_listen": f"unix:{tmp_path / 'health'}"}
    async with Node(sim, ingress=probes):
        done = await asked(listen="127.0.0.1:9", **probes)

    assert (0, "SERVING\n") == (done.code, done.out)


async def test_a_port_that_wants_certificates_says_what_to_set(sim: Simulator, tmp_path: Path) -> None:
    authority = Authority()
    authority.issue().write(tmp_path / "tls.crt", tmp_path / "tls.key")
    (tmp_path / "ca.pem").write_bytes(authority.pem)
    names = {"tls_certificate_file": "tls.crt", "tls_key_file": "tls.key", "tls_client_ca_file": "ca.pem"}
    closed = {name: str(tmp_path / file) for name, file in names.items()}
    async with Node(sim, ingress=closed) as node:
        done = await asked("--timeout", "1", listen=node.address, **closed)

    assert 69 == done.code
    assert "set ingress.health_listen" in done.err


async def test_nobody_there_is_code_69_and_says_where(tmp_path: Path) -> None:
    address = f"unix:{tmp_path / 'nobody'}"
    done = await asked(listen=address)

    assert 69 == done.code
    assert f"Error: the daemon at {address} says: nothing, UNAVAILABLE" in done.err


async def test_a_service_that_is_not_there_is_no_success(sim: Simulator) -> None:
    async with Node(sim) as node:
        known = await asked("--service", "edgeclient.v1.NodeService", listen=node.address)
        unknown = await asked("--service", CHAT.replace("Chat", "Chatt"), listen=node.address)

    assert 0 == known.code
    assert 69 == unknown.code
    assert "NOT_FOUND" in unknown.err


async def test_a_certificate_that_is_none_is_named(tmp_path: Path, pair: dict[str, str]) -> None:
    (tmp_path / "tls.crt").write_text("no certificate")
    done = await asked(listen="127.0.0.1:9", **pair)

    assert done.code in (69, 78)
    assert "tls_certificate_file" in done.err
