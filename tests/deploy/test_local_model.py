"""The container of the local model says what is missing, begins by itself once it is there, and ends when told to."""

import asyncio
import contextlib
import os
import signal
from pathlib import Path

import pytest
from deploy.manifests import overlay, pod_of, variables, workloads

GUARD_S = 20.0
SERVER = """#!/bin/sh
echo "serving $*"
exec sleep 600
"""


def script(folder: Path) -> tuple[list[str], Path]:
    """The command of the container with another server and shorter pauses, and the file that it waits for."""
    (workload,) = workloads(overlay("local-model"))
    (container,) = [each for each in pod_of(workload)["containers"] if each["name"] == "local-model"]
    *shell, text = container["command"]
    server = folder / "llama-server"
    server.write_text(SERVER)
    server.chmod(0o755)
    model = folder / Path(variables(container)["MODEL"]).name
    assert "sleep 10 " in text
    return [*shell, text.replace("/app/llama-server", str(server)).replace("sleep 10 ", "sleep 0.05 ")], model


@pytest.mark.parametrize("is_there", [True, False])
async def test_it_waits_for_its_model_serves_it_and_ends(tmp_path: Path, *, is_there: bool) -> None:
    command, model = script(tmp_path)
    if is_there:
        model.touch()
    process = await asyncio.create_subprocess_exec(
        *command,
        env={"PATH": "/usr/bin:/bin", "MODEL": str(model)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(GUARD_S):
            first = (await process.stdout.readline()).decode()
            model.touch()
            said = first
            while not said.startswith("serving"):
                said = (await process.stdout.readline()).decode()
            process.send_signal(signal.SIGTERM)
            rest = await process.stdout.read()  # ends when nobody can write any more: the server is gone as well
            assert 0 == await process.wait()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    assert is_there == first.startswith("serving")
    if not is_there:
        assert "there is no model: put a GGUF file on the node as /var/lib/edgeclient-models/model.gguf\n" == first
    assert f"serving --model {model} --alias local --host 127.0.0.1 --port 8080 " in said
    assert b"" == rest
