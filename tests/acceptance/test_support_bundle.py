"""A bundle for support, of a daemon that runs, of one that is stopped, and of a box where nothing is right."""

import base64
import gzip
import hashlib
import io
import json
import stat
import tarfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw
import builders
import pytest
from acceptance.daemon import Daemon, for_cloud
from fakes.command_line import command

from edgeclient.cli.exit_codes import ExitCode
from edgeclient.simulator import Simulator
from edgeclient.v1 import job_pb2, job_pb2_grpc, node_pb2

KEY, KEY_IN_FILE = "sk-planted-0000-environment", "sk-planted-1111-file"
TOKEN, REDIS, PROXY, OTHER = "token-planted-2222", "redis-planted-3333", "proxy-planted-4444", "other-planted-5555"
PROMPT, PINNED, IDEMPOTENCY_KEY = "prompt-planted-6666", "pinned-planted-7777", "repeat-planted-8888"
NODE_KEY = base64.b64encode(hashlib.sha256(b"planted").digest()).decode()
PARTS = {
    "versions.json",
    "config.json",
    "environment.json",
    "host.json",
    "doctor.json",
    "node_status.json",
    "readyz.json",
    "metrics.txt",
    "usage.json",
    "queue.json",
}


@dataclass
class Box:
    """A node with a secret in every place that there is for one."""

    root: Path
    sim: Simulator
    secrets: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name, text in (("api.key", KEY_IN_FILE), ("node.key", NODE_KEY), ("redis.password", REDIS)):
            (self.root / name).write_text(f"{text}\n")
            (self.root / name).chmod(0o400)
        (self.root / "prepared.toml").write_text(f'[[pinned]]\nquestions = ["{PINNED} q"]\nanswer = "{PINNED} a"\n')
        digest = hashlib.sha256(TOKEN.encode()).hexdigest()
        self.file.write_text(f'[[callers]]\nname = "camera-7"\ntoken_sha256 = ["{digest}"]\n')
        words = [PROMPT, PINNED, IDEMPOTENCY_KEY, KEY, KEY_IN_FILE, TOKEN, digest, REDIS, PROXY, OTHER, NODE_KEY]
        self.secrets += [*words, "planted"]

    @property
    def file(self) -> Path:
        return self.root / "edgeclient.toml"

    @property
    def settings(self) -> dict[str, str]:
        return {
            **for_cloud(self.sim),
            "ingress.listen": f"unix:{self.root}/node.sock",
            "admin.listen": f"unix:{self.root}/admin.sock",
            "upstream.api_key_file": str(self.root / "api.key"),
            "upstream.proxy": "environment",
            "spool.directory": str(self.root / "spool"),
            "spool.encryption_key_file": str(self.root / "node.key"),
            "prepare.file": str(self.root / "prepared.toml"),
            "cache.redis_url": "redis://127.0.0.1:9/0",
            "cache.redis_password_file": str(self.root / "redis.password"),
        }

    @property
    def variables(self) -> dict[str, str]:
        proxy = f"http://somebody:{PROXY}@127.0.0.1:9"
        return {"REDIS_PASSWORD": REDIS, "HTTPS_PROXY": proxy, "NO_PROXY": "127.0.0.1", "SITE_TOKEN": OTHER}

    @asynccontextmanager
    async def daemon(self) -> AsyncIterator[Daemon]:
        daemon = Daemon(self.settings, key=KEY, file=self.file, variables=self.variables)
        async with daemon:
            yield daemon

    def rows(self) -> dict[str, list[Any]]:
        """All that is in the queue."""
        connection = apsw.Connection(str(self.root / "spool" / "spool.db"))
        try:
            tables = ("ledger", "job", "content", "usage")
            return {name: list(connection.execute(f"SELECT * FROM {name}")) for name in tables}  # noqa: S608  ours
        finally:
            connection.close()

    async def used(self, daemon: Daemon) -> None:
        """Some calls and jobs; what the model answered is a secret from then on."""
        mine = (("authorization", f"Bearer {TOKEN}"),)
        answer = await daemon.chat.Chat(builders.chat_request(prompt=PROMPT, system=PROMPT), metadata=mine)
        await daemon.chat.Chat(builders.chat_request(prompt=f"{PINNED} q"), metadata=mine)
        assert daemon.channel is not None
        jobs = job_pb2_grpc.JobServiceStub(daemon.channel)
        request = builders.chat_request(prompt=PROMPT, idempotency_key=IDEMPOTENCY_KEY)
        job = (await jobs.SubmitJob(job_pb2.SubmitJobRequest(request=request), metadata=mine)).job
        done = await jobs.WaitJob(job_pb2.WaitJobRequest(job_id=job.id), metadata=mine)
        assert done.job.response.message.content
        self.secrets += [answer.message.content, done.job.response.message.content]

    async def bundle(self, *more: str | Path) -> "Bundle":
        settings = [part for path, value in self.settings.items() for part in ("--set", f"{path}={value}")]
        output = self.root / "bundle.tar.gz"
        arguments = ["--config", self.file, *settings, "--timeout", "5", "-o", output, *more]
        finished = await command("support-bundle", *arguments, stdin=b"", DASHSCOPE_API_KEY=KEY, **self.variables)
        assert ExitCode.OK == finished.code, finished.err
        assert 0o600 == stat.S_IMODE(output.stat().st_mode)
        return Bundle(output.read_bytes(), finished.out + finished.err)


class Bundle:
    """What was collected."""

    def __init__(self, packed: bytes, said: str) -> None:
        self.raw = gzip.decompress(packed).decode() + said
        with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
            members = [(Path(each.name).name, tar.extractfile(each)) for each in tar.getmembers()]
            self.files = {name: file.read().decode() for name, file in members if file is not None}
        self.manifest = self.json("manifest.json")

    def json(self, name: str) -> Any:
        return json.loads(self.files[name])

    @property
    def missing(self) -> Mapping[str, str]:
        return {each["name"]: each["why"] for each in self.manifest["missing"]}


@pytest.fixture
def box(tmp_path: Path, sim: Simulator) -> Box:
    return Box(tmp_path, sim)


async def test_daemon_that_runs_is_told_whole_and_without_a_secret(box: Box) -> None:
    async with box.daemon() as daemon:
        await box.used(daemon)
        bundle = await box.bundle()

    assert PARTS | {"manifest.json"} == set(bundle.files)
    assert {} == bundle.missing
    assert [] == [secret for secret in box.secrets if secret in bundle.raw]
    assert {each["name"] for each in bundle.manifest["parts"]} == PARTS
    assert {"log", "prompts and answers", "prepare.file"} == set(bundle.manifest["left_out"])
    assert str(box.root / "api.key") == bundle.json("config.json")["settings"]["upstream"]["api_key_file"]["value"]
    assert "--set upstream.api_key_file" in bundle.json("config.json")["settings"]["upstream"]["api_key_file"]["origin"]
    assert ["[redacted]"] == bundle.json("config.json")["callers"][0]["token_sha256"]
    assert {"DASHSCOPE_API_KEY", "HTTPS_PROXY"} <= set(bundle.json("environment.json"))
    assert "edgeclient_calls_total" in bundle.files["metrics.txt"]
    assert bundle.json("readyz.json")["ready"]
    assert bundle.json("node_status.json")["version"]
    assert "camera-7" in {row["caller"] for row in bundle.json("usage.json")["rows"]}
    assert {"config", "daemon"} <= {check["check"] for check in bundle.json("doctor.json")["checks"]}
    assert 1 == bundle.json("queue.json")["counts"]["by_state"]["succeeded"]
    assert "grpcio" in bundle.json("versions.json")["libraries"]
    assert "VmRSS" in bundle.json("host.json")["daemon"]["status"]


async def test_daemon_that_is_stopped_leaves_its_queue_to_be_counted(box: Box) -> None:
    async with box.daemon() as daemon:
        await box.used(daemon)
        daemon.signal()
        assert ExitCode.OK == await daemon.code()
    before = box.rows()

    bundle = await box.bundle()

    assert {"node_status.json", "readyz.json", "metrics.txt"} == set(bundle.missing)
    assert all("no daemon" in why for why in bundle.missing.values())
    queue = bundle.json("queue.json")
    assert (1, 0, []) == (queue["counts"]["by_state"]["succeeded"], queue["problem_count"], queue["problems"])
    assert "camera-7" in {row["caller"] for row in bundle.json("usage.json")["rows"]}
    assert [] == [secret for secret in box.secrets if secret in bundle.raw]
    assert before == box.rows()


async def test_log_is_taken_along_if_it_is_given_and_keys_in_it_are_blotted_out(box: Box) -> None:
    log = box.root / "daemon.log"
    log.write_text(f"begun\nauthorization: Bearer {TOKEN}x\nhttp://u:{PROXY}@proxy {KEY_IN_FILE} {REDIS} {KEY}\n")

    bundle = await box.bundle("--log", log)

    assert "begun" in bundle.files["log.txt"]
    assert [] == [secret for secret in box.secrets if secret in bundle.raw]
    assert "log" not in bundle.manifest["left_out"]


async def test_wrong_configuration_is_told_and_the_rest_is_there(box: Box) -> None:
    with box.file.open("a") as file:
        file.write('[log]\nlevel = "loud"\n')

    bundle = await box.bundle()

    assert "the configuration is wrong: log.level: 'loud' is none of" in bundle.missing["config.json"]
    assert {"versions.json", "environment.json", "host.json", "doctor.json"} <= set(bundle.files)
    assert [] == [secret for secret in box.secrets if secret in bundle.raw]


async def test_queue_of_another_schema_is_not_touched(box: Box) -> None:
    async with box.daemon() as daemon:
        await daemon.node.GetNodeStatus(node_pb2.GetNodeStatusRequest())
        daemon.signal()
        await daemon.code()
    path = box.root / "spool" / "spool.db"
    data = bytearray(path.read_bytes())
    data[60:64] = (1).to_bytes(4)
    path.write_bytes(data)

    bundle = await box.bundle()

    assert "the queue has schema 1, and this version knows" in bundle.missing["queue.json"]
    assert data == path.read_bytes()


async def test_bundle_goes_to_standard_output_and_what_cannot_be_written_is_told() -> None:
    finished = await command("support-bundle", "--timeout", "1", "-o", "/proc/bundle")

    assert ExitCode.CONFIG == finished.code
    assert "Error: /proc/bundle cannot be written: " in finished.err
    assert "-o - writes to standard output" in finished.err
