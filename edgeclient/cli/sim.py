"""`edgeclient sim`: the simulated cloud as a program, for a demo or a look at what a client really sends.

The first lines say all that is needed to point a client at it. It runs until a signal.
"""

import asyncio
import signal
from pathlib import Path
from typing import Any

import click
import uvloop

from edgeclient.simulator import (
    EFFECTS,
    ERRORS,
    CertificateMode,
    Fault,
    FaultSyntaxError,
    Simulator,
    SimulatorConfig,
    fault_of_flag,
    faults_of_file,
)


def fault_table() -> str:
    """Every fault by name, with one sentence."""
    rows = list(EFFECTS.items())
    for error in ERRORS.values():
        code = f" {error.code}" if error.code else ", no JSON"
        rows.append((error.name, f"HTTP {error.status}{code}: {error.message or 'an empty body.'}"))
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {sentence}" for name, sentence in rows)


def banner(sim: Simulator) -> str:
    """Where the simulator is and how to reach it."""
    ca_file = sim.ca_file
    trust = f" --cacert {ca_file}" if ca_file else ""
    version = "--http2-prior-knowledge" if sim.config.plaintext else "--http2"
    key = sim.config.api_key or "sk-demo"
    body = '{"model":"qwen-plus","messages":[{"role":"user","content":"Hello"}]}'
    lines = [
        f"simulated cloud: {sim.base_url}",
        f"faults, ledger, stats: {sim.origin}/__sim__/",
        "",
        "For the daemon:",
        f"  export EDGECLIENT_UPSTREAM_BASE_URL={sim.base_url}",
        *([f"  export EDGECLIENT_UPSTREAM_CA_FILE={ca_file}"] if ca_file else []),
        f"  export DASHSCOPE_API_KEY={key}",
        "",
        "For clients of the OpenAI family:",
        f"  export OPENAI_BASE_URL={sim.base_url}",
        f"  export OPENAI_API_KEY={key}",
        *([f"  export SSL_CERT_FILE={ca_file}"] if ca_file else []),
        "",
        "Try it:",
        f"  curl {version}{trust} {sim.base_url}/chat/completions \\",
        f"    -H 'Authorization: Bearer {key}' -d '{body}'",
    ]
    return "\n".join(lines)


async def _run(config: SimulatorConfig) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    async with Simulator(config) as sim:
        click.echo(banner(sim))
        await stopped.wait()


def _print_faults(context: click.Context, parameter: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's
    del parameter
    if value:
        click.echo(fault_table())
        context.exit()


def _read_faults(file: Path | None, flags: tuple[str, ...]) -> tuple[Fault, ...]:
    try:
        return (*(faults_of_file(file) if file else ()), *(fault_of_flag(flag) for flag in flags))
    except (FaultSyntaxError, OSError) as error:
        raise click.UsageError(str(error)) from None


@click.command("sim")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8443, show_default=True, help="Port to listen on; 0 takes a free one.")
@click.option("--plaintext", is_flag=True, help="No TLS: HTTP/2 by prior knowledge, or HTTP/1.1.")
@click.option("--http1-only", is_flag=True, help="Do not offer HTTP/2.")
@click.option("--directory", type=click.Path(path_type=Path, file_okay=False), help="Where ca.pem is written.")
@click.option(
    "--certificate",
    type=click.Choice([mode.value for mode in CertificateMode]),
    default="valid",
    show_default=True,
    help="In which way the certificate is wrong.",
)
@click.option("--name", "extra_names", multiple=True, help="Further name or address in the certificate; repeatable.")
@click.option("--api-key", help="The only key that is accepted; without it any key is.")
@click.option("--seed", default=1, show_default=True, help="Of answers, jitter and random faults.")
@click.option("--latency-ms", default=0.0, help="Wait before the head of every answer.")
@click.option("--ttft-ms", default=0.0, help="Wait from the head to the first token.")
@click.option("--tokens-per-s", default=0.0, help="Speed of the model; 0 is as fast as possible.")
@click.option("--jitter", default=0.0, help="Spread of every wait; 0.2 is plus or minus 20 %.")
@click.option("--tokens-per-chunk", default=4, show_default=True, help="Tokens in one chunk of a stream.")
@click.option("--max-streams", default=256, show_default=True, help="Concurrent streams per HTTP/2 connection.")
@click.option("--rpm", type=int, help="Requests per minute and model before 429.")
@click.option("--tpm", type=int, help="Tokens per minute and model before 429.")
@click.option("--gzip", is_flag=True, help="Compress unary answers for clients that accept it.")
@click.option("--keep-bodies", is_flag=True, help="Keep request bodies in the ledger (bounded).")
@click.option("--faults", "file", type=click.Path(path_type=Path, dir_okay=False), help="Rules in TOML or JSON.")
@click.option("--fault", "flags", multiple=True, help="A rule, as limit_requests,every=5,retry_after=2; repeatable.")
@click.option(
    "--list-faults",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_faults,
    help="Print the names of all faults and leave.",
)
def sim(file: Path | None, flags: tuple[str, ...], certificate: str, **options: Any) -> None:
    """Run a local Qwen cloud that can misbehave on order.

    Rules can be changed while it runs: GET, PUT, POST and DELETE /__sim__/faults. What it received and billed is at
    /__sim__/ledger, its connections at /__sim__/stats.
    """
    try:
        config = SimulatorConfig(faults=_read_faults(file, flags), certificate=CertificateMode(certificate), **options)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    try:
        uvloop.run(_run(config))
    except OSError as error:
        raise click.ClickException(f"cannot listen on {config.host}:{config.port}: {error.strerror}") from None
