"""`edgeclient usage` against a running node's admin port, and against the files of a stopped one."""

import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fakes.command_line import Finished, command
from spool_bench import SpoolBench

from edgeclient.cli.usage_view import today
from edgeclient.core.accounts import KEYS, SUMS, Kept, UsageRow
from edgeclient.policy.budget import NANOS, BudgetState
from edgeclient.spool.sqlite_accounts import SqliteAccounts
from edgeclient.telemetry.admin import AdminServer
from edgeclient.telemetry.admin_pages import admin_pages

COLUMNS = (*KEYS, *SUMS)


def rows() -> list[UsageRow]:
    facts: dict[str, Any] = {"model": "qwen-plus", "currency": "CNY", "requests": 40, "attempts": 41}
    return [
        UsageRow(day=today(), caller="device-7", cost_nanos=12 * NANOS, prompt_tokens=9000, **facts),
        UsageRow(day=today(), caller="camera", cost_nanos=3 * NANOS, prompt_tokens=100, **facts),
        UsageRow(day=today() - 20, caller="old", cost_nanos=NANOS, **facts),
    ]


def page() -> bytes:
    budget = BudgetState(
        caller="device-7",
        path="callers[0].budget_per_day",
        limit_nanos=12 * NANOS,
        spent_nanos=12 * NANOS,
        reserved_nanos=0,
        currency="CNY",
        day=today(),
        refused=True,
    )
    values = [[getattr(row, name) for name in COLUMNS] for row in rows()]
    return json.dumps({"columns": COLUMNS, "rows": values, "budgets": [asdict(budget)]}).encode()


@asynccontextmanager
async def node(listen: str = "127.0.0.1:0", **pages: Any) -> AsyncIterator[str]:
    made = admin_pages(metrics=lambda _: ("", b""), readiness=dict, **({"usage": page} | pages))
    server = AdminServer(listen, pages=made, observe=lambda _: None)
    await server.start()
    try:
        yield server.address
    finally:
        await server.close()


async def stopped_node(root: Path) -> Path:
    bench = SpoolBench(root)
    await bench.open()
    await SqliteAccounts(bench.spool).save(Kept(usage=rows()), drop_before_day=0)
    await bench.close()
    return bench.directory


def closed_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


async def usage(*arguments: str | Path) -> Finished:
    return await command("usage", *arguments)


async def test_a_running_node_is_asked() -> None:
    async with node() as address:
        done = await usage("--admin", address)

    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0].endswith(f"(UTC), from the node at {address}")
    assert lines[3].split() == ["device-7", "qwen-plus", "40", "41", "9,000", "0", "CNY", "12.00"]
    assert "old" not in done.out
    assert "  device-7  12.00 of CNY 12.00  (100%)  USED UP: requests are refused until 00:00 UTC" in lines
    assert any(line.startswith("device-7 qwen-plus  ####") for line in lines)


async def test_a_socket_file_is_asked_as_well(tmp_path: Path) -> None:
    async with node(f"unix:{tmp_path}/admin.sock") as address:
        done = await usage("--admin", address, "--json")

    assert json.loads(done.out)["origin"] == f"from the node at {address}"


async def test_a_stopped_nodes_files_are_read_when_nobody_answers(tmp_path: Path) -> None:
    directory = await stopped_node(tmp_path)
    file = tmp_path / "edgeclient.toml"
    file.write_text(f'[admin]\nlisten = "{closed_port()}"\n[spool]\ndirectory = "{directory}"\n')

    done = await usage("--config", file, "--by", "day,caller", "--since", "all", "--json")
    told = json.loads(done.out)
    assert (done.code, told["origin"]) == (0, f"from the files in {directory}")
    assert [each["caller"] for each in told["usage"]] == ["old", "device-7", "camera"]
    by_folder = await usage("--directory", directory, "--csv")
    assert by_folder.out.splitlines()[0].startswith("caller,model,currency,requests,")
    assert len(by_folder.out.splitlines()) == 3


async def test_filters_and_groups(tmp_path: Path) -> None:
    directory = await stopped_node(tmp_path)

    async def shown(*arguments: str) -> list[dict[str, Any]]:
        done = await usage("--directory", directory, "--json", *arguments)
        data: list[dict[str, Any]] = json.loads(done.out)["usage"]
        return data

    assert [each["cost"] for each in await shown("--by", "model")] == [15.0]
    assert [each["caller"] for each in await shown("--caller", "camera")] == ["camera"]
    assert await shown("--model", "qwen-max") == []
    assert len(await shown("--since", "21d", "--by", "caller")) == 3
    nothing = await usage("--directory", directory, "--since", "2999-01-01")
    assert nothing.out == f"No usage since 2999-01-01 (from the files in {directory}).\n"


async def test_nobody_and_nothing_says_what_was_tried_and_what_would_be_right() -> None:
    address = closed_port()
    done = await usage("--admin", address)

    assert done.code == 69
    assert done.err.startswith(f"Error: no node answers at {address} (Connection refused)\n")
    assert "--config FILE or --directory DIR" in done.err


async def test_an_older_node_and_another_program_are_told_apart() -> None:
    async with node(usage=None) as address:
        older = await usage("--admin", address)
    async with node(usage=lambda: b"<html>") as address:
        other = await usage("--admin", address)

    assert (older.code, "has no page /usage; is it an older edgeclient?" in older.err) == (69, True)
    assert (other.code, "is not an edgeclient node" in other.err) == (69, True)


async def test_files_that_a_daemon_has_are_not_touched(tmp_path: Path) -> None:
    bench = SpoolBench(tmp_path)
    await bench.open()
    done = await usage("--directory", bench.directory)
    await bench.close()

    assert done.code == 75
    assert f"{bench.directory} is in use by a daemon" in done.err
    assert "--admin HOST:PORT" in done.err


async def test_a_folder_without_a_queue_is_told(tmp_path: Path) -> None:
    done = await usage("--directory", tmp_path)

    assert (done.code, f"there is no queue in {tmp_path}" in done.err) == (78, True)


async def test_wrong_words_are_told_with_right_ones() -> None:
    by, since, both = (
        await usage("--by", "model,color"),
        await usage("--since", "tuesday"),
        await usage("--csv", "--json"),
    )

    assert (by.code, "'color' is none of caller, model, day" in by.err) == (2, True)
    assert (since.code, "is none of 7d, today, yesterday, all, or a date" in since.err) == (2, True)
    assert (both.code, "give --json or --csv, not both" in both.err) == (2, True)
