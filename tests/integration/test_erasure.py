"""What is erased is gone: no byte of a prompt or an answer is left in any file of the queue.

The files are read raw, as who has stolen the disk would, while the queue is open and after it is closed.
"""

import os
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from edgeclient.config.spool_schema import SpoolConfig
from edgeclient.core.errors import Reason, Rejected
from edgeclient.core.jobs import JobKind, NewJob
from edgeclient.core.spool import content_digest
from edgeclient.spool.sealing import PlainVault, Vault
from edgeclient.spool.spool import SqliteSpool
from edgeclient.spool.vault import KeyedVault
from edgeclient.v1 import chat_pb2

VAULTS: dict[str, Vault] = {"plain": PlainVault(), "encrypted": KeyedVault(bytes(range(32)))}
PROMPT, ANSWER, ERROR = "prompt-secret", "answer-secret", "error-secret"
LABEL, KEY, CONVERSATION = "label-secret", "key-secret", "conversation-secret"
SECRETS = (PROMPT, ANSWER, ERROR, LABEL, KEY, CONVERSATION)


class Time:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now_ms = 1_000_000

    def boot_id(self) -> str:
        return "boot"

    def boot_ms(self) -> int:
        return self.now_ms

    def wall_ms(self) -> int:
        return 1_800_000_000_000 + self.now_ms

    def wall_is_trusted(self) -> bool:
        return True


@pytest.fixture(params=VAULTS)
def vault(request: pytest.FixtureRequest) -> Vault:
    return VAULTS[request.param]


@asynccontextmanager
async def opened(
    directory: Path, vault: Vault, time: Time | None = None, *, keep_failed_requests: bool = True
) -> AsyncIterator[SqliteSpool]:
    config = SpoolConfig(
        directory=str(directory),
        ballast_bytes=65_536,
        max_caller_share=1.0,
        keep_failed_requests=keep_failed_requests,
    )
    spool = SqliteSpool(config, vault=vault, observe=lambda _: None, time_source=time or Time())
    await spool.open()
    try:
        yield spool
    finally:
        await spool.close()


def new(number: int, *, caller: str = "device-7", padding: int = 0) -> NewJob:
    request = chat_pb2.ChatRequest(prompt=f"{PROMPT}-{number}-{'x' * padding}")
    return NewJob(
        id=f"J{number:05}",
        caller=caller,
        kind=JobKind.JOB,
        request=request,
        digest=content_digest(request),
        idempotency_key=f"{KEY}-{number}",
        conversation_id=f"{CONVERSATION}-{number}",
        label=f"{LABEL}-{number}",
    )


def answer(number: int, *, padding: int = 0) -> chat_pb2.ChatResponse:
    content = f"{ANSWER}-{number}-{'y' * padding}"
    return chat_pb2.ChatResponse(message=chat_pb2.Message(role=chat_pb2.ROLE_ASSISTANT, content=content))


def left(directory: Path, *words: str) -> list[str]:
    """Which of the words stand in which files."""
    files = [file for file in directory.rglob("*") if file.is_file()]
    return [f"{word} in {file.name}" for file in files for word in words if word.encode() in file.read_bytes()]


async def fill(spool: SqliteSpool, count: int, *, caller: str = "device-7", first: int = 0, padding: int = 0) -> None:
    """A third succeeds, a third fails, a third waits."""
    for number in range(first, first + count):
        await spool.accept(new(number, caller=caller, padding=padding))
        attempt = await spool.begin(f"J{number:05}") if number % 3 else None
        if attempt is not None and number % 3 == 1:
            assert await spool.succeed(attempt, answer(number, padding=padding))
        elif attempt is not None:
            error = Rejected(Reason.ERROR_REASON_INVALID_REQUEST, f"{ERROR}-{number}")
            assert await spool.fail(attempt, error, retry_in_s=None, counts=True)


async def test_content_is_readable_on_the_disk_only_without_encryption(tmp_path: Path, vault: Vault) -> None:
    async with opened(tmp_path, vault) as spool:
        await fill(spool, 9)
        found = left(tmp_path, PROMPT, ANSWER, ERROR)
    found += left(tmp_path, PROMPT, ANSWER, ERROR)

    assert bool(found) == isinstance(vault, PlainVault)


@pytest.mark.parametrize("padding", [0, 500, 20_000], ids=["small", "medium", "large"])
async def test_an_erased_job_leaves_no_byte(tmp_path: Path, vault: Vault, padding: int) -> None:
    async with opened(tmp_path, vault) as spool:
        await fill(spool, 12, padding=padding)
        for number in range(12):
            await spool.erase("device-7", f"J{number:05}")
        assert [] == left(tmp_path, *SECRETS)

    assert [] == left(tmp_path, *SECRETS)


async def test_erased_among_many_that_stay_leaves_no_byte(tmp_path: Path, vault: Vault) -> None:
    rng = random.Random(7)
    async with opened(tmp_path, vault) as spool:
        for number in range(300):
            await fill(spool, 1, first=number, padding=rng.choice([0, 30, 300, 900, 3000, 9000]))
        gone = rng.sample(range(300), 150)
        for number in gone:
            await spool.erase("device-7", f"J{number:05}")
        words = [f"{word}-{number}-" for number in gone for word in (PROMPT, ANSWER)]
        assert [] == left(tmp_path, *words)

    assert [] == left(tmp_path, *words)


async def test_an_erased_caller_leaves_no_byte_and_no_key_and_others_stay(tmp_path: Path, vault: Vault) -> None:
    async with opened(tmp_path, vault) as spool:
        await fill(spool, 30, caller="device-7", padding=500)
        await fill(spool, 3, caller="device-8", first=1000)
        assert 30 == await spool.erase_caller("device-7")
        words = [f"{word}-{number}-" for number in range(30) for word in (PROMPT, ANSWER)]
        assert [] == left(tmp_path, *words)
        kept = await spool.get("device-8", "J01000")
        assert kept is not None
        assert 0 == await spool.erase_caller("nobody")

    assert [] == left(tmp_path, *words)


async def test_a_purged_job_leaves_no_byte(tmp_path: Path, vault: Vault) -> None:
    time = Time()
    async with opened(tmp_path, vault, time) as spool:
        await fill(spool, 12, padding=500)
        time.now_ms += 8 * 86_400_000
        await spool.sweep()
        time.now_ms += 8 * 86_400_000
        await spool.sweep()
        assert 0 == sum(spool.stats().by_state.values())
        assert [] == left(tmp_path, *SECRETS)

    assert [] == left(tmp_path, *SECRETS)


@pytest.mark.parametrize("kept", [True, False], ids=["kept", "not kept"])
async def test_a_request_is_gone_as_soon_as_its_job_has_ended_but_for_one_that_failed(
    tmp_path: Path,
    kept: bool,  # noqa: FBT001
) -> None:
    async with opened(tmp_path, PlainVault(), keep_failed_requests=kept) as spool:
        await fill(spool, 5)
        await spool.cancel("device-7", "J00003")
        await spool.erase("device-7", "J00000")
        await spool.sweep()
        assert [] == left(tmp_path, f"{PROMPT}-1-", f"{PROMPT}-3-", f"{PROMPT}-4-")
        assert left(tmp_path, f"{ANSWER}-1-"), "a blind test: the answer has to be there"
        assert kept == bool(left(tmp_path, f"{PROMPT}-2-"))


@pytest.mark.parametrize("padding", [0, 500, 20_000], ids=["small", "medium", "large"])
async def test_a_kept_request_is_erased_and_purged_to_the_last_byte(tmp_path: Path, vault: Vault, padding: int) -> None:
    time = Time()
    async with opened(tmp_path, vault, time) as spool:
        await fill(spool, 30, padding=padding)  # every third fails
        time.now_ms += 86_400_001
        await spool.sweep()  # every third expires, and those that have ended are purged but for their keys
        words = [f"{PROMPT}-{number}-" for number in range(30)]
        assert bool(left(tmp_path, *words[0::3])) == isinstance(vault, PlainVault)
        await fill(spool, 30, first=100, padding=padding)
        words += [f"{PROMPT}-{number}-" for number in range(100, 130)]
        assert bool(left(tmp_path, *words[31::3])) == isinstance(vault, PlainVault)
        await spool.erase("device-7", "J00101")
        assert [] == left(tmp_path, words[31])
        time.now_ms += 8 * 86_400_000
        await spool.sweep()
        time.now_ms += 8 * 86_400_000
        await spool.sweep()
        assert [] == left(tmp_path, *words)

    assert [] == left(tmp_path, *SECRETS)


async def test_what_was_moved_aside_after_a_damage_goes_with_the_first_erasure(tmp_path: Path, vault: Vault) -> None:
    async with opened(tmp_path, vault) as spool:
        await fill(spool, 3)
        aside = tmp_path / "spool.db.damaged-1"
        aside.write_bytes(PROMPT.encode())
        log = tmp_path / "spool.db.damaged-1-wal"
        log.write_bytes(PROMPT.encode())

        await spool.sweep()
        assert aside.exists()
        await spool.erase("device-7", "J00000")

        assert (aside.exists(), log.exists()) == (False, False)


async def test_what_was_moved_aside_is_not_kept_longer_than_finished_jobs(tmp_path: Path, vault: Vault) -> None:
    async with opened(tmp_path, vault) as spool:
        aside = tmp_path / "spool.db.damaged-1"
        aside.write_bytes(b"old")
        os.utime(aside, (0, 0))
        await spool.sweep()

        assert not aside.exists()
