"""`edgeclient jobs` as an operator meets it: a process of its own, on the files of a stopped node."""

import base64
import json
from pathlib import Path

import pytest
from fakes.command_line import command

from edgeclient.config.spool_schema import SpoolConfig
from edgeclient.core.errors import Reason, Unavailable, Uncertain
from edgeclient.core.jobs import JobKind, NewJob
from edgeclient.core.spool import content_digest
from edgeclient.spool.sealing import vault_of
from edgeclient.spool.spool import SqliteSpool
from edgeclient.v1 import chat_pb2

KEY = base64.b64encode(bytes(range(32))).decode()


@pytest.fixture
async def directory(tmp_path: Path) -> Path:
    """A queue with three jobs: one waits, one succeeded, one is uncertain."""
    return await filled(tmp_path / "spool")


async def filled(directory: Path, *, key_file: str = "") -> Path:
    spool = SqliteSpool(
        SpoolConfig(directory=str(directory), ballast_bytes=0), vault=vault_of(key_file), observe=lambda _: None
    )
    await spool.open()
    for name, caller in (("waits", "device-7"), ("done", "device-8"), ("unknown", "device-7")):
        request = chat_pb2.ChatRequest(prompt=f"prompt of {name}")
        digest = content_digest(request)
        await spool.accept(NewJob(id=name, caller=caller, kind=JobKind.JOB, request=request, digest=digest, label="泵"))
    done, unknown = await spool.begin("done"), await spool.begin("unknown")
    assert done is not None
    assert unknown is not None
    await spool.succeed(done, chat_pb2.ChatResponse(message=chat_pb2.Message(content="answer of done")))
    error = Uncertain(Reason.ERROR_REASON_UPSTREAM_INTERRUPTED, "cut off")
    await spool.fail(unknown, error, retry_in_s=None, counts=True)
    await spool.close()
    return directory


async def listed(directory: Path, *more: str) -> list[dict[str, str]]:
    result = await command("jobs", "ls", "--directory", directory, "--json", *more)
    assert (0, "") == (result.code, result.err)
    found: list[dict[str, str]] = json.loads(result.out)
    return found


async def test_ls_shows_every_caller_newest_first(directory: Path) -> None:
    result = await command("jobs", "ls", "--directory", directory)

    header, *lines = result.out.splitlines()
    assert ["JOB", "STATE", "CALLER", "PRIORITY", "ATTEMPTS", "CREATED", "LABEL"] == header.split()
    assert [
        ["unknown", "uncertain", "device-7"],
        ["done", "succeeded", "device-8"],
        ["waits", "queued", "device-7"],
    ] == [line.split()[:3] for line in lines]


async def test_ls_picks_by_state_and_caller(directory: Path) -> None:
    assert ["unknown"] == [job["id"] for job in await listed(directory, "--state", "uncertain")]
    assert ["done"] == [job["id"] for job in await listed(directory, "--caller", "device-8")]
    assert ["unknown"] == [job["id"] for job in await listed(directory, "-n", "1")]


async def test_content_is_shown_on_demand_only(directory: Path) -> None:
    bare = await command("jobs", "show", "waits", "--directory", directory, "--json")
    full = await command("jobs", "show", "done", "--directory", directory, "--content", "--json")
    text = await command("jobs", "show", "waits", "--directory", directory, "--content")

    assert "prompt of waits" not in bare.out
    assert "queued" == json.loads(bare.out)["state"]
    assert "answer of done" == json.loads(full.out)["response"]["message"]["content"]
    assert "prompt of waits" in text.out


async def test_an_unknown_job_is_said(directory: Path) -> None:
    for name in ("show", "cancel"):
        result = await command("jobs", name, "nobody", "--directory", directory)
        assert (65, "Error: there is no job 'nobody'\n") == (result.code, result.err)


async def test_retry_asks_first_and_queues_again(directory: Path) -> None:
    asked = await command("jobs", "retry", "--state", "uncertain", "--directory", directory, stdin=b"n\n")
    assert 130 == asked.code
    assert "billed again" in asked.err
    assert ["unknown"] == [job["id"] for job in await listed(directory, "--state", "uncertain")]

    done = await command("jobs", "retry", "--state", "uncertain", "--directory", directory, "--yes", "--json")
    assert [("unknown", "unknown", "queued")] == [
        (job["retry_of"], job["id"], job["state"]) for job in json.loads(done.out)
    ]

    refused = await command("jobs", "retry", "done", "--directory", directory, "--yes")
    assert (65, "Error: job done is SUCCEEDED, not UNCERTAIN, FAILED, DEAD or EXPIRED\n") == (refused.code, refused.err)
    nothing = await command("jobs", "retry", "--state", "uncertain", "--directory", directory)
    assert (0, "", "no job to send again\n") == (nothing.code, nothing.out, nothing.err)


@pytest.fixture
async def failed(tmp_path: Path) -> Path:
    """A queue whose jobs have failed in order of their names, the last without its request being kept."""
    directory = tmp_path / "failed"
    for kept, names in ((True, ("J1", "J2", "J3")), (False, ("J4",))):
        config = SpoolConfig(directory=str(directory), ballast_bytes=0, keep_failed_requests=kept)
        spool = SqliteSpool(config, vault=vault_of(""), observe=lambda _: None)
        await spool.open()
        for name in names:
            request = chat_pb2.ChatRequest(prompt=f"prompt of {name}")
            digest = content_digest(request)
            await spool.accept(
                NewJob(id=name, caller="device-7", kind=JobKind.JOB, request=request, digest=digest, label=f"of {name}")
            )
            attempt = await spool.begin(name)
            assert attempt is not None
            down = Unavailable(Reason.ERROR_REASON_UPSTREAM_UNAVAILABLE, "down")
            await spool.fail(attempt, down, retry_in_s=None, counts=True)
        await spool.close()
    return directory


async def test_retry_of_ended_jobs_tells_which_became_which(failed: Path) -> None:
    shown = await command("jobs", "show", "J1", "--directory", failed, "--content", "--json")
    assert "prompt of J1" == json.loads(shown.out)["request"]["prompt"]
    exported = [json.loads(line) for line in (await command("jobs", "export", "--directory", failed)).out.splitlines()]
    assert [None, "prompt of J3"] == [job.get("request", {}).get("prompt") for job in exported][:2]

    done = await command("jobs", "retry", "--state", "dead", "--directory", failed, "--yes")
    assert (0, "1 more cannot be sent again: their requests are not kept any more\n") == (done.code, done.err)
    header, *lines = done.out.splitlines()
    assert ["JOB", "WAS", "SENT", "AGAIN", "AS", "CALLER", "LABEL"] == header.split()
    became = {line.split()[0]: line.split()[2] for line in lines}
    assert ["J1", "J2", "J3"] == list(became)  # the oldest first: they are sent in this order
    assert ["dead"] * 3 == [line.split()[1] for line in lines]

    jobs = {job["id"]: job for job in await listed(failed)}
    assert [("queued", f"of {old}") for old in became] == [
        (jobs[new]["state"], jobs[new]["label"]) for new in became.values()
    ]
    assert {"dead"} == {jobs[old]["state"] for old in became}
    old = json.loads((await command("jobs", "show", "J1", "--directory", failed, "--json")).out)
    assert old["error"]["message"].endswith(f"an operator has sent it again as job {became['J1']}")
    verified = await command("jobs", "verify", "--directory", failed)
    assert (0, "sound") == (verified.code, verified.out.splitlines()[-1])


async def test_retry_sends_what_it_can_and_says_what_not(failed: Path) -> None:
    done = await command("jobs", "retry", "J4", "J2", "nobody", "--directory", failed, "--yes", "--json")

    assert 65 == done.code
    assert ["J2"] == [job["retry_of"] for job in json.loads(done.out)]
    assert ["Error: job J4 is DEAD and its request is not kept any more", "  there is no job 'nobody'"] == (
        done.err.splitlines()
    )


async def test_export_writes_a_line_per_job_with_content(directory: Path, tmp_path: Path) -> None:
    target = tmp_path / "jobs.jsonl"
    result = await command("jobs", "export", "--directory", directory, "-o", target)

    jobs = [json.loads(line) for line in target.read_text("utf-8").splitlines()]
    assert (0, "") == (result.code, result.err)
    assert ["unknown", "done", "waits"] == [job["id"] for job in jobs]
    assert "answer of done" == jobs[1]["response"]["message"]["content"]
    assert "prompt of waits" == jobs[2]["request"]["prompt"]
    assert "泵" == jobs[0]["label"]


async def test_cancel_and_erase_change_the_queue(directory: Path) -> None:
    cancelled = await command("jobs", "cancel", "waits", "--directory", directory, "--json")
    erased = await command("jobs", "erase", "--caller", "device-7", "--directory", directory, "--yes", "--json")

    assert ["cancelled"] == [job["state"] for job in json.loads(cancelled.out)]
    assert {"erased": 2} == json.loads(erased.out)
    assert ["erased", "succeeded", "erased"] == [job["state"] for job in await listed(directory)]


async def test_stats_counts_and_verify_finds_the_queue_sound(directory: Path) -> None:
    stats = await command("jobs", "stats", "--directory", directory, "--json")
    verify = await command("jobs", "verify", "--directory", directory, "--json")
    text = await command("jobs", "verify", "--directory", directory)

    assert 3 == json.loads(stats.out)["accepted_total"]
    assert [] == json.loads(verify.out)["problems"]
    assert (0, "sound") == (text.code, text.out.splitlines()[-1])


async def test_a_damaged_queue_has_its_exit_code(directory: Path) -> None:
    import apsw  # noqa: PLC0415  one test damages files

    connection = apsw.Connection(str(directory / "spool.db"))
    connection.execute("UPDATE content SET sealed = zeroblob(3) WHERE part = 1")
    connection.close()

    result = await command("jobs", "verify", "--directory", directory)

    assert 65 == result.code
    assert "PROBLEM the stored request of job waits is damaged" in result.out


async def test_an_encrypted_queue_wants_its_key(tmp_path: Path) -> None:
    key_file = tmp_path / "node.key"
    key_file.touch(0o600)
    key_file.write_text(KEY)
    directory = await filled(tmp_path / "spool", key_file=str(key_file))

    without = await command("jobs", "ls", "--directory", directory)
    listed_with = await listed(directory, "--encryption-key-file", str(key_file))

    assert 78 == without.code
    assert "is encrypted; set spool.encryption_key_file to the file with its node key" in without.err
    assert 3 == len(listed_with)


async def test_the_node_key_is_changed(tmp_path: Path) -> None:
    old, new = tmp_path / "old.key", tmp_path / "new.key"
    for file, first in ((old, 0), (new, 100)):
        file.touch(0o600)
        file.write_text(bytes(range(first, first + 32)).hex())
    directory = await filled(tmp_path / "spool", key_file=str(old))
    of_old = ("--directory", directory, "--encryption-key-file", old)

    missing = await command("jobs", "rekey", "--new-key-file", tmp_path / "missing.key", *of_old)
    done = await command("jobs", "rekey", "--new-key-file", new, *of_old, "--json")
    refused = await command("jobs", "verify", *of_old)

    assert 78 == missing.code
    assert f"--new-key-file: {tmp_path}/missing.key cannot be read" in missing.err
    assert {"rekeyed": 2} == json.loads(done.out)
    assert 78 == refused.code
    assert 3 == len(await listed(directory, "--encryption-key-file", str(new)))


async def test_the_configuration_names_the_files(directory: Path, tmp_path: Path) -> None:
    file = tmp_path / "edgeclient.toml"
    file.write_text(f'[spool]\ndirectory = "{directory}"\n')

    result = await command("jobs", "verify", "--config", file)

    assert (0, "") == (result.code, result.err)


async def test_a_queue_in_use_is_refused_with_advice(directory: Path) -> None:
    spool = SqliteSpool(
        SpoolConfig(directory=str(directory), ballast_bytes=0), vault=vault_of(""), observe=lambda _: None
    )
    await spool.open()
    try:
        result = await command("jobs", "verify", "--directory", directory)
    finally:
        await spool.close()

    assert 75 == result.code
    assert f"Error: the queue in {directory} is in use by a daemon" in result.err
    assert "Stop the daemon first" in result.err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("ls", "--caller", "device-7"), "--caller is for operators: add --config or --directory"),
        (("ls", "--state", "uncertain"), "--state uncertain is none of the node's API; add --config or --directory"),
        (("erase",), "give job ids, or --caller"),
        (("cancel",), "give at least one job id"),
        (("retry", "--directory", "."), "give job ids, or --state"),
        (("ls", "--encryption-key-file", "x"), "--encryption-key-file goes with --directory or --config"),
    ],
)
async def test_a_wrong_command_line_says_what_would_be_right(arguments: tuple[str, ...], sentence: str) -> None:
    result = await command("jobs", *arguments)

    assert 2 == result.code
    assert sentence in result.err


async def test_no_queue_and_no_node_are_said(tmp_path: Path) -> None:
    no_queue = await command("jobs", "ls", "--directory", tmp_path)
    no_node = await command("jobs", "ls", "--address", "127.0.0.1:9")

    assert (78, f"Error: there is no queue in {tmp_path}\n") == (no_queue.code, no_queue.err)
    assert 69 == no_node.code
    assert "no connection to the node at 127.0.0.1:9" in no_node.err
