"""`edgeclient doctor` against clouds, networks, disks and ports that are wrong in one way each."""

import asyncio
import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from fakes.command_line import command
from harness.certificates import Authority
from harness.cloud import chats
from harness.node import Node

from edgeclient.cli.doctor_lookup import ask_resolver
from edgeclient.cli.doctor_run import Told, examine
from edgeclient.cli.doctor_verdict import Check, Level, Verdict
from edgeclient.cli.doctor_view import as_data, check_text, summary
from edgeclient.simulator import CertificateMode, Fault, Simulator, SimulatorConfig

KEY = "sk-of-the-doctors-own-test"
WAY = ("DNS", "TCP", "TLS", "HTTP/2", "credentials", "models", "latency")
LONGEST_S = 3.0


class Findings(dict[str, Verdict]):
    """Verdicts by the name of the check."""

    def __init__(self, checks: list[Check]) -> None:
        super().__init__({check.name: check.verdict for check in checks})
        self.checks = checks

    @property
    def failed(self) -> list[str]:
        return [name for name, verdict in self.items() if verdict.level is Level.FAIL]

    @property
    def text(self) -> str:
        return "\n".join(map(check_text, self.checks)) + json.dumps(as_data(self.checks, version="", duration_s=0))


async def diagnosed(
    sim: Simulator | None = None,
    *,
    key: str = KEY,
    file: Path | None = None,
    timeout_s: float = 20,
    environ: dict[str, str] | None = None,
    **settings: str,
) -> Findings:
    """What the doctor finds; settings are written with two underscores for the dot."""
    overrides = {"ingress.listen": "127.0.0.1:0", "admin.listen": "127.0.0.1:0", "upstream.proxy": "none"}
    if sim is not None:
        overrides |= {"upstream.base_url": sim.base_url, "upstream.ca_file": str(sim.ca_file or "")}
    overrides |= {name.replace("__", "."): value for name, value in settings.items()}
    checks: list[Check] = []
    told = Told(
        file=file,
        environ={"DASHSCOPE_API_KEY": key} | (environ or {}),
        overrides=overrides,
        timeout_s=timeout_s,
    )
    await examine(told, checks.append)
    found = Findings(checks)
    assert key not in found.text
    assert len(found) == len(checks)
    return found


def rest_is_skipped(found: Findings, failed: str) -> bool:
    """Every step of the way behind the one that failed was skipped because of it."""
    behind = WAY[WAY.index(failed) + 1 :]
    return {(Level.SKIPPED, f"{failed} failed")} == {(found[name].level, found[name].line) for name in behind}


@asynccontextmanager
async def listener(answer: bytes) -> AsyncIterator[int]:
    """Answers every connection with the same bytes, as soon as something came."""

    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        with contextlib.suppress(ConnectionError):
            while await reader.read(65_536):
                writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


@contextmanager
def black_hole() -> Iterator[int]:
    """A port whose queue of connections is full, so that the next packet is dropped."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)  # noqa: FBT003  positional only
            each.connect_ex(server.getsockname())
        try:
            yield server.getsockname()[1]
        finally:
            for each in waiting:
                each.close()


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def content_of(directory: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(directory).iterdir()}


def plain(port: int) -> dict[str, Any]:
    return {"upstream__base_url": f"http://127.0.0.1:{port}/v1", "upstream__http1": "true"}


def page(status: str = "200 OK", *, body: bytes = b'{"data":[{"id":"qwen-plus"}]}', ahead_s: float = 0) -> bytes:
    date = formatdate(time.time() + ahead_s, usegmt=True)
    head = f"HTTP/1.1 {status}\r\nDate: {date}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


# -- all is well


async def test_a_healthy_node_is_well_and_nothing_is_paid_or_left_behind(tmp_path: Path) -> None:
    async with Simulator() as sim:
        found = await diagnosed(sim, spool__directory=str(tmp_path))

        assert [] == chats(sim)
    assert [] == found.failed
    assert {Level.OK} == {found[name].level for name in (*WAY[:-1], "config", "key", "clock", "port", "user")}
    assert "commits/s" in found["fsync"].line  # how fast is for the disk to say
    assert "10 free calls" in found["latency"].line
    assert "a new connection costs" in found["latency"].line
    assert "within a second" in found["clock"].line
    assert {} == content_of(str(tmp_path))


async def test_checks_are_told_in_the_order_in_which_they_depend() -> None:
    async with Simulator() as sim:
        found = await diagnosed(sim)

    expected = ["config", "key", *WAY, "clock", "disk", "fsync", "queue"]
    assert [*expected, "port", "admin port", "certificate", "user", "daemon"] == list(found)


# -- settings


async def test_a_wrong_configuration_is_told_with_its_line_and_the_clock_is_checked_all_the_same(
    tmp_path: Path,
) -> None:
    file = tmp_path / "node.toml"
    file.write_text('[log]\nlevel = "loud"\n')

    found = await diagnosed(file=file)

    assert ["config"] == found.failed
    assert f"{file}:2" in found["config"].seen
    assert {"config failed"} == {found[name].line for name in ("key", *WAY, "disk", "port", "daemon")}
    assert Level.SKIPPED is not found["clock"].level


async def test_without_a_key_the_way_is_checked_up_to_the_key() -> None:
    async with Simulator() as sim:
        found = await diagnosed(sim, environ={"DASHSCOPE_API_KEY": ""})

    assert ["key"] == found.failed
    assert {Level.OK} == {found[name].level for name in WAY[:4]}
    assert {"key failed"} == {found[name].line for name in WAY[4:]}


async def test_a_key_file_that_everybody_can_read_is_a_warning(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(KEY)
    file.chmod(0o644)
    async with Simulator() as sim:
        found = await diagnosed(sim, upstream__api_key_file=str(file))

    assert Level.WARNING is found["key"].level
    assert Level.OK is found["credentials"].level


async def test_a_ca_file_that_is_none_fails_at_tls(tmp_path: Path) -> None:
    async with Simulator() as sim:
        found = await diagnosed(sim, upstream__ca_file=str(tmp_path / "none.pem"))

    assert "upstream.ca_file cannot be used" == found["TLS"].line


# -- the way


async def test_a_name_that_there_is_not_fails_at_dns() -> None:
    found = await diagnosed(upstream__base_url="https://no-such-host.invalid/v1", timeout_s=LONGEST_S)

    assert ["DNS"] == found.failed
    assert rest_is_skipped(found, "DNS")


async def test_a_port_where_nobody_listens_fails_at_tcp() -> None:
    found = await diagnosed(upstream__base_url=f"https://127.0.0.1:{free_port()}/v1")

    assert ["TCP"] == found.failed
    assert "refuses connections" in found["TCP"].line
    assert rest_is_skipped(found, "TCP")


async def test_a_black_hole_is_named_within_the_time() -> None:
    async with asyncio.timeout(LONGEST_S + 1):
        with black_hole() as port:
            found = await diagnosed(upstream__base_url=f"https://127.0.0.1:{port}/v1", timeout_s=LONGEST_S)

    assert ["TCP"] == found.failed
    assert "does not answer" in found["TCP"].line
    assert Level.OK is found["user"].level


async def test_who_accepts_and_says_nothing_fails_at_tls() -> None:
    async with listener(b"") as port:
        found = await diagnosed(upstream__base_url=f"https://127.0.0.1:{port}/v1", timeout_s=LONGEST_S)

    assert "takes the connection and then says nothing" in found["TLS"].line


async def test_who_does_not_speak_tls_is_named() -> None:
    async with listener(page()) as port:
        found = await diagnosed(upstream__base_url=f"https://127.0.0.1:{port}/v1")

    assert ["TLS"] == found.failed
    assert "does not speak TLS" in found["TLS"].line


@pytest.mark.parametrize(
    ("mode", "line", "cure"),
    [
        (CertificateMode.EXPIRED, "has expired", "is the node's clock right?"),
        (CertificateMode.NOT_YET_VALID, "is not yet valid", "is the node's clock right?"),
        (CertificateMode.WRONG_HOST, "is for wrong.host.invalid", "sign-in"),
    ],
)
async def test_a_certificate_is_wrong_in_its_own_way(mode: CertificateMode, line: str, cure: str) -> None:
    async with Simulator(SimulatorConfig(certificate=mode)) as sim:
        found = await diagnosed(sim)

    assert ["TLS"] == found.failed
    assert line in found["TLS"].line
    assert "edgeclient simulated cloud CA" in found["TLS"].seen
    assert cure in found["TLS"].do[0]
    assert rest_is_skipped(found, "TLS")


async def test_an_unknown_ca_is_told_with_its_name() -> None:
    async with Simulator() as sim:
        found = await diagnosed(sim, upstream__ca_file="")

    assert ["TLS"] == found.failed
    assert "CN=edgeclient simulated cloud CA" in found["TLS"].seen
    assert "upstream.ca_file" in found["TLS"].do[0]


async def test_a_peer_without_http2_leads_to_the_setting_and_the_setting_helps() -> None:
    async with Simulator(SimulatorConfig(http1_only=True)) as sim:
        without, with_it = await diagnosed(sim), await diagnosed(sim, upstream__http1="true")

    assert ["HTTP/2"] == without.failed
    assert "upstream.http1 = true" in without["HTTP/2"].do[0]
    assert (Level.WARNING, Level.OK) == (with_it["HTTP/2"].level, with_it["credentials"].level)
    assert "http/1.1" in with_it["credentials"].line


async def test_the_way_through_a_proxy_is_that_of_the_proxy() -> None:
    refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
    async with listener(refusal) as port:
        found = await diagnosed(
            upstream__base_url="https://provider.invalid/v1", upstream__proxy=f"http://127.0.0.1:{port}"
        )

    assert ["TLS"] == found.failed
    assert f"the proxy 127.0.0.1:{port} wants a user and a password" == found["TLS"].line
    assert f"the proxy 127.0.0.1:{port} connects" in found["TCP"].line


@asynccontextmanager
async def tunnel_proxy(to_port: int) -> AsyncIterator[int]:
    """A proxy that leads to one port of this machine, whatever is asked for."""
    writers: list[asyncio.StreamWriter] = []

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while piece := await source.read(65_536):
                sink.write(piece)
        sink.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        onward, back = await asyncio.open_connection("127.0.0.1", to_port)
        writers.extend((writer, back))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(pump(reader, back), pump(onward, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


async def test_through_a_proxy_everything_is_checked_and_only_the_proxy_resolves() -> None:
    host = "provider.invalid"
    async with Simulator(SimulatorConfig(extra_names=(host,))) as sim, tunnel_proxy(sim.port) as port:
        found = await diagnosed(
            sim, upstream__base_url=f"https://{host}:{sim.port}/v1", upstream__proxy=f"http://127.0.0.1:{port}"
        )

    assert [] == [name for name in found.failed if name in ("DNS", "TCP", "TLS", "HTTP/2")]
    assert "the proxy 127.0.0.1 is an address" in found["DNS"].line
    assert f"{host}:{sim.port} speaks HTTP/2" == found["HTTP/2"].line
    assert "HTTP 200 over h2" in found["credentials"].line


async def test_the_password_of_a_proxy_is_never_shown() -> None:
    async with listener(b"HTTP/1.1 403 Forbidden\r\n\r\n") as port:
        found = await diagnosed(
            upstream__base_url="https://provider.invalid/v1",
            upstream__proxy="environment",
            environ={"HTTPS_PROXY": f"http://somebody:open-sesame@127.0.0.1:{port}"},
        )

    assert "refuses provider.invalid" in found["TLS"].line
    assert "open-sesame" not in found.text
    assert "somebody" not in found.text


# -- the provider


async def test_a_key_that_is_not_known_fails_at_credentials() -> None:
    async with Simulator() as sim:
        found = await diagnosed(sim, key="sk-invalid-and-long-enough")

    assert ["credentials"] == found.failed
    assert "(401)" in found["credentials"].line
    assert rest_is_skipped(found, "credentials")


@pytest.mark.parametrize(
    ("kind", "level", "line"),
    [
        ("access_denied", Level.FAIL, "(403)"),
        ("captive_portal", Level.FAIL, "a web page answered"),
        ("captive_redirect", Level.FAIL, "a web page answered"),
        ("arrearage", Level.FAIL, "no money left"),
        ("close", Level.FAIL, "there is no answer"),
    ],
)
async def test_what_comes_instead_of_the_list_is_told(kind: str, level: Level, line: str) -> None:
    async with Simulator(SimulatorConfig(faults=(Fault(kind=kind, path="*/models"),))) as sim:
        found = await diagnosed(sim)

    assert ["credentials"] == found.failed
    assert level is found["credentials"].level
    assert line in found["credentials"].line
    assert rest_is_skipped(found, "credentials")


async def test_a_provider_that_never_answers_ends_in_time() -> None:
    async with Simulator(SimulatorConfig(faults=(Fault(kind="hang", path="*/models"),))) as sim:
        found = await diagnosed(sim, timeout_s=LONGEST_S)

    assert "there is no answer" == found["credentials"].line
    assert Level.OK is found["user"].level


async def test_a_model_that_is_not_listed_is_told(tmp_path: Path) -> None:
    file = tmp_path / "node.toml"
    file.write_text("[models.my-own-model]\ncontext_window_tokens = 1000\n")
    async with Simulator() as sim:
        other = await diagnosed(sim, file=file)
        default = await diagnosed(sim, file=file, chat__default_model="my-own-model")

    assert Level.WARNING is other["models"].level
    assert "my-own-model (models.my-own-model)" in other["models"].seen
    assert ["models"] == default.failed
    assert Level.OK is default["latency"].level


async def test_a_list_that_is_none_proves_nothing() -> None:
    async with listener(page(body=b"{}")) as port:
        found = await diagnosed(None, **plain(port))

    assert Level.SKIPPED is found["models"].level
    assert "only a paid call" in found["models"].line


async def test_a_slow_provider_is_a_warning() -> None:
    async with Simulator(SimulatorConfig(faults=(Fault(kind="delay_headers", delay_s=1.1, path="*/models"),))) as sim:
        found = await diagnosed(sim)

    assert Level.WARNING is found["latency"].level
    assert [] == found.failed


@pytest.mark.parametrize(("ahead_s", "level"), [(7200, Level.WARNING), (-7200, Level.WARNING), (20, Level.OK)])
async def test_a_clock_is_compared_with_that_of_the_provider(ahead_s: float, level: Level) -> None:
    async with listener(page(ahead_s=ahead_s)) as port:
        found = await diagnosed(None, **plain(port))

    assert level is found["clock"].level
    assert ("behind" in found["clock"].line) == (ahead_s == 7200)


# -- the box


async def test_a_disk_below_its_floor_fails_and_one_that_is_too_small_warns(tmp_path: Path) -> None:
    async with Simulator() as sim:
        full = await diagnosed(sim, spool__directory=str(tmp_path), spool__disk_floor_bytes=str(1 << 60))
        small = await diagnosed(sim, spool__directory=str(tmp_path), spool__max_bytes=str(1 << 40))

    assert "is full" in full["disk"].line
    assert Level.SKIPPED is full["fsync"].level
    assert Level.WARNING is small["disk"].level


async def test_a_folder_that_is_a_file_cannot_be_used(tmp_path: Path) -> None:
    file = tmp_path / "q"
    file.touch()

    found = await diagnosed(upstream__base_url=f"https://127.0.0.1:{free_port()}/v1", spool__directory=str(file))

    assert Level.FAIL is found["disk"].level


async def test_a_running_daemon_has_its_queue_and_its_ports_and_tells_its_state(tmp_path: Path) -> None:
    key_file = tmp_path / "node.key"
    key_file.write_text(bytes(range(32)).hex())
    key_file.chmod(0o400)
    spool = {"directory": str(tmp_path / "q"), "encryption_key_file": str(key_file)}
    settings: dict[str, Any] = {f"spool__{name}": value for name, value in spool.items()}
    async with Simulator() as sim, Node(sim, spool=spool) as node:
        found = await diagnosed(sim, ingress__listen=node.address, admin__listen=node.admin, **settings)

    assert [] == found.failed
    assert f"in use by a daemon, pid {os.getpid()}" in found["queue"].line
    assert {True} == {"taken by our daemon" in found[name].line for name in ("port", "admin port")}
    assert "uplink online since" in found["daemon"].line


async def test_a_queue_of_another_node_key_is_told_while_nobody_has_it(tmp_path: Path) -> None:
    keys = [tmp_path / "one.key", tmp_path / "two.key"]
    for number, key_file in enumerate(keys):
        key_file.write_text(bytes(range(number, 32 + number)).hex())
        key_file.chmod(0o400)
    directory = str(tmp_path / "q")
    async with Simulator() as sim:
        async with Node(sim, spool={"directory": directory, "encryption_key_file": str(keys[0])}):
            pass
        before = content_of(directory)
        right, wrong = [
            await diagnosed(sim, spool__directory=directory, spool__encryption_key_file=str(each)) for each in keys
        ]

    assert "encrypted, and the key fits; no daemon has it" == right["queue"].line
    assert "the node key is not that of the queue" == wrong["queue"].line
    assert before == content_of(directory)


async def test_a_port_that_somebody_else_has_fails() -> None:
    async with Simulator() as sim, listener(b"") as port:
        found = await diagnosed(sim, ingress__listen=f"127.0.0.1:{port}")

    assert ["port"] == found.failed
    assert "not by a daemon of ours" in found["port"].line


async def test_an_address_of_another_box_cannot_be_listened_on() -> None:
    async with Simulator() as sim:
        found = await diagnosed(sim, admin__listen="192.0.2.1:9464")

    assert ["admin port"] == found.failed


async def test_the_certificate_of_the_port_is_read_and_its_daemon_asked(tmp_path: Path) -> None:
    files = (tmp_path / "node.pem", tmp_path / "node.key")
    Authority().issue("node7.lan").write(*files)
    tls = {"tls_certificate_file": str(files[0]), "tls_key_file": str(files[1])}
    async with Simulator() as sim, Node(sim, ingress=tls) as node:
        settings: dict[str, Any] = {f"ingress__{name}": value for name, value in tls.items()}
        found = await diagnosed(sim, ingress__listen=node.address, admin__listen=node.admin, **settings)

    assert Level.WARNING is found["certificate"].level  # it lives for an hour
    assert "uplink online" in found["daemon"].line


async def test_a_daemon_that_wants_a_client_certificate_is_found_by_its_admin_port(tmp_path: Path) -> None:
    authority = Authority()
    files = (tmp_path / "node.pem", tmp_path / "node.key", tmp_path / "ca.pem")
    authority.issue("node7.lan").write(files[0], files[1])
    files[2].write_bytes(authority.pem)
    names = ("tls_certificate_file", "tls_key_file", "tls_client_ca_file")
    tls = {name: str(file) for name, file in zip(names, files, strict=True)}
    async with Simulator() as sim, Node(sim, ingress=tls) as node:
        settings: dict[str, Any] = {f"ingress__{name}": value for name, value in tls.items()}
        found = await diagnosed(sim, ingress__listen=node.address, admin__listen=node.admin, **settings)

    assert "taken by our daemon" in found["port"].line
    assert "does not tell strangers about itself" in found["daemon"].line


async def test_a_key_of_another_certificate_is_named(tmp_path: Path) -> None:
    authority = Authority()
    files = (tmp_path / "node.pem", tmp_path / "node.key")
    authority.issue().write(*files)
    authority.issue().write(tmp_path / "other.pem", files[1])
    async with Simulator() as sim:
        found = await diagnosed(sim, ingress__tls_certificate_file=str(files[0]), ingress__tls_key_file=str(files[1]))

    assert ["certificate"] == found.failed
    assert "is not the key of the certificate" in found["certificate"].seen


# -- resolvers


@contextmanager
def resolver(code: int | None) -> Iterator[int]:
    """Answers each question with this code; None: never."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))

        def serve() -> None:
            question, peer = sock.recvfrom(512)
            if code is not None and question:
                sock.sendto(b"\xff\xff" + question[2:], peer)  # an answer to another question
                sock.sendto(question[:2] + bytes([0x81, 0x80 | code]) + question[4:], peer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield sock.getsockname()[1]
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
                last.sendto(b"", sock.getsockname())
            thread.join()


@pytest.mark.parametrize(
    ("code", "outcome"),
    [(0, "answers"), (2, "fails (SERVFAIL)"), (3, "says there is no such name"), (5, "refuses (code 5)")],
)
async def test_a_resolver_is_told_by_what_it_says(code: int, outcome: str) -> None:
    with resolver(code) as port:
        answer = await ask_resolver("127.0.0.1", "dashscope.aliyuncs.com", port=port)

    assert outcome == answer.outcome


async def test_a_resolver_that_is_dead_is_told_apart() -> None:
    with resolver(None) as port:
        answer = await ask_resolver("127.0.0.1", "dashscope.aliyuncs.com", port=port, limit_s=0.05)

    assert "does not answer" == answer.outcome


# -- the command


async def test_the_command_says_what_is_wrong_with_exit_code_one() -> None:
    settings = ["--set", f"upstream.base_url=https://127.0.0.1:{free_port()}/v1", "--set", "ingress.listen=127.0.0.1:0"]
    done = await command("doctor", *settings, "--set", "admin.listen=", DASHSCOPE_API_KEY=KEY)

    assert (1, "") == (done.code, done.err)
    assert "Begin with TCP." in done.out
    assert "skipped  models               (TCP failed)" in done.out.splitlines()
    assert KEY not in done.out


async def test_the_command_is_well_with_exit_code_zero_and_speaks_json() -> None:
    async with Simulator() as sim:
        settings = {
            "upstream.base_url": sim.base_url,
            "upstream.ca_file": str(sim.ca_file),
            "ingress.listen": "127.0.0.1:0",
            "admin.listen": "",
        }
        arguments: list[Any] = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
        done = await command("doctor", "--json", *arguments, DASHSCOPE_API_KEY=KEY)

    data = json.loads(done.out)
    assert (0, True) == (done.code, data["ok"])
    assert {"ok", "skipped", "warning"} >= {check["level"] for check in data["checks"]}
    assert "dashscope" == next(check["target"] for check in data["checks"] if check["check"] == "TLS")


async def test_every_target_is_checked_and_told_in_its_own_terms(tmp_path: Path) -> None:
    cloud = SimulatorConfig(api_key=KEY)
    site = SimulatorConfig(plaintext=True, http1_only=True, api_key="")
    file = tmp_path / "edge.toml"
    async with Simulator(cloud) as beijing, Simulator(cloud) as singapore, Simulator(site) as jetson:
        wrong_key = tmp_path / "key"
        wrong_key.write_text("sk-of-another-region-0123")
        wrong_key.chmod(0o400)
        file.write_text(
            f"""[ingress]
listen = "127.0.0.1:0"
[admin]
listen = ""
[[targets]]
name = "jetson"
base_url = "{jetson.base_url}"
local = true
keyless = true
names = {{ "*" = "qwen-flash" }}
[[targets]]
name = "singapore"
base_url = "{singapore.base_url}"
ca_file = "{singapore.ca_file}"
api_key_file = "{wrong_key}"
tier = 1
[[targets]]
name = "beijing"
base_url = "{beijing.base_url}"
ca_file = "{beijing.ca_file}"
models = ["qwen-plus"]
""",
            encoding="utf-8",
        )
        checks: list[Check] = []
        await examine(Told(file=file, environ={"DASHSCOPE_API_KEY": KEY}, overrides={}, timeout_s=20), checks.append)
        assert [] == chats(beijing) + chats(singapore) + chats(jetson)
    found = {(check.target, check.name): check.verdict for check in checks}
    order = list(dict.fromkeys(check.target for check in checks if check.target))
    assert order == ["beijing", "singapore", "jetson"]
    assert found["beijing", "target"].line.endswith("tier 0, account beijing, 1 model")
    assert {Level.OK} == {found["beijing", name].level for name in WAY}
    assert found["beijing", "models"].line.startswith("qwen-plus is listed")
    refused = found["singapore", "credentials"]
    assert refused.level is Level.FAIL
    assert str(wrong_key) in refused.do[0]
    assert "targets[1].base_url" in refused.do[1]
    assert "upstream." not in "".join((refused.line, refused.seen, refused.means, *refused.do))
    assert found["jetson", "key"].level is Level.SKIPPED
    assert found["jetson", "credentials"].level is Level.OK
    assert found["jetson", "credentials"].line.startswith("the endpoint answers without a key")
    assert found["jetson", "models"].line.startswith("qwen-flash is listed")
    assert summary(checks, duration_s=1).endswith("Begin with credentials of singapore.")


async def test_settings_of_a_target_that_cannot_be_used_are_told_by_its_row(tmp_path: Path) -> None:
    file = tmp_path / "edge.toml"
    file.write_text(
        """[ingress]
listen = "127.0.0.1:0"
[[targets]]
name = "beijing"
base_url = "https://127.0.0.1:9/v1"
api_key_file = "/nowhere/key"
""",
        encoding="utf-8",
    )
    checks: list[Check] = []
    await examine(Told(file=file, environ={}, overrides={}, timeout_s=20), checks.append)
    key = Findings(checks)["key"]
    assert key.level is Level.FAIL
    assert key.seen.startswith("targets[0].api_key_file: /nowhere/key cannot be read")
