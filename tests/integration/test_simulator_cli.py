"""`edgeclient sim` as its user meets it."""

import asyncio
import signal
import ssl
import sys
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from edgeclient.cli.sim import sim
from edgeclient.simulator import EFFECTS, ERRORS

FLAGS = (
    "sampling",
    "pace",
    "prefill-tokens-per-s",
    "cache-min-tokens",
    "limit",
    "provider-limits",
    "batch-manual",
    "batch-time-scale",
    "batch-validating-s",
    "batch-line-s",
    "batch-finalizing-s",
    "batch-parallel",
    "batch-max-bytes",
    "batch-max-lines",
    "batch-max-line-bytes",
    "batch-api-limits",
    "batch-chat-wait-ms",
    "batch-chat-longest-s",
)
START = "from edgeclient.cli.sim import sim; sim()"


def test_list_of_faults_names_them_all() -> None:
    result = CliRunner().invoke(sim, ["--list-faults"])

    assert [*EFFECTS, *ERRORS] == [line.split()[0] for line in result.output.splitlines()]


def test_wrong_fault_is_a_usage_error() -> None:
    result = CliRunner().invoke(sim, ["--fault", "no_such_fault"])

    assert result.exit_code == 2
    assert "no_such_fault" in result.output


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--jitter", "7"], "jitter is 7.0, must be between 0 and 1"),
        (["--limit", "qwen-plus,rpm"], "limit 'qwen-plus,rpm': 'rpm' is not of the form field=value"),
        (["--limit", "qwen-plus,rps=1"], "rps"),
        (["--limit", "qwen-plus,rpm=0"], "rpm is 0, must be at least 1"),
        (["--pace", "qwen-plus,tokens_per_s=-1"], "tokens_per_s is -1.0, must not be negative"),
        (["--batch-max-lines", "0"], "batch file_lines is 0, must be at least 1"),
        (["--batch-time-scale", "0"], "batch time_scale is 0.0, must be above 0"),
        (["--batch-chat-longest-s", "0"], "batch_chat_longest_s is 0.0, must be above 0"),
        (["--faults", "no-such-file.toml"], "no-such-file.toml"),
    ],
)
def test_wrong_option_is_a_usage_error(arguments: list[str], sentence: str) -> None:
    result = CliRunner().invoke(sim, arguments)

    assert result.exit_code == 2
    assert sentence in " ".join(result.output.split())


def test_every_option_of_the_cloud_is_told_by_the_help() -> None:
    help_text = " ".join(CliRunner().invoke(sim, ["--help"]).output.split())

    assert [] == [name for name in FLAGS if f" --{name} " not in help_text]


async def test_program_says_where_it_is_serves_and_ends_by_signal(tmp_path: Path) -> None:
    arguments = ("--port", "0", "--directory", str(tmp_path), "--fault", "limit_requests,nth=1")
    async with asyncio.timeout(20):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", START, *arguments, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        base_url = (await process.stdout.readline()).decode().split()[-1]
        context = ssl.create_default_context(cafile=tmp_path / "ca.pem")
        async with httpx.AsyncClient(http2=True, verify=context) as client:
            headers = {"authorization": "Bearer k"}
            statuses = [(await client.get(f"{base_url}/models", headers=headers)).status_code for _ in range(2)]
        process.send_signal(signal.SIGTERM)
        _, code = await process.communicate(), await process.wait()

    assert (statuses, code) == ([429, 200], 0)


async def test_flags_reach_the_cloud(tmp_path: Path) -> None:
    arguments = ["--port", "0", "--directory", str(tmp_path), "--batch-manual", "--provider-limits", "beijing"]
    arguments += ["--limit", "qwen-max,rpm=7,tpm=70", "--pace", "qwen-max,ttft_ms=1"]
    async with asyncio.timeout(20):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", START, *arguments, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        base_url = (await process.stdout.readline()).decode().split()[-1]
        origin = base_url.removesuffix("/compatible-mode/v1")
        context = ssl.create_default_context(cafile=tmp_path / "ca.pem")
        async with httpx.AsyncClient(http2=True, verify=context, headers={"authorization": "Bearer k"}) as client:
            quotas = (await client.get(f"{origin}/api/v1/quotas?name=qwen-max")).json()["output"]["quotas"]
            pace = (await client.get(f"{origin}/__sim__/pace")).json()["pace"]
            form = {"purpose": "batch"}
            file = (await client.post(f"{base_url}/files", data=form, files={"file": b"x"})).json()
            body = {"input_file_id": file["id"], "endpoint": "/v1/chat/completions", "completion_window": "24h"}
            batch = (await client.post(f"{base_url}/batches", json=body)).json()
            later = (await client.get(f"{base_url}/batches/{batch['id']}")).json()
        process.send_signal(signal.SIGTERM)
        await process.communicate()

    limits = {row["model"]: row["model_limit"]["request_limit"] for row in quotas}
    assert 7 == limits["qwen-max"]
    assert [{"model": "qwen-max", "ttft_ms": 1.0}] == pace
    assert ("validating", "validating") == (batch["status"], later["status"])
