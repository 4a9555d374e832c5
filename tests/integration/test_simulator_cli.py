"""`edgeclient sim` as its user meets it."""

import asyncio
import signal
import ssl
import sys
from pathlib import Path

import httpx
from click.testing import CliRunner

from edgeclient.cli.sim import sim
from edgeclient.simulator import EFFECTS, ERRORS

START = "from edgeclient.cli.sim import sim; sim()"


def test_list_of_faults_names_them_all() -> None:
    result = CliRunner().invoke(sim, ["--list-faults"])

    assert [*EFFECTS, *ERRORS] == [line.split()[0] for line in result.output.splitlines()]


def test_wrong_fault_is_a_usage_error() -> None:
    result = CliRunner().invoke(sim, ["--fault", "no_such_fault"])

    assert result.exit_code == 2
    assert "no_such_fault" in result.output


def test_wrong_option_is_a_usage_error() -> None:
    result = CliRunner().invoke(sim, ["--jitter", "7"])

    assert result.exit_code == 2
    assert "jitter is 7.0, must be between 0 and 1" in result.output


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
