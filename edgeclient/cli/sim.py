"""`edgeclient sim`: the simulated cloud as a program, for a demo or a look at what a client really sends.

The first lines say all that is needed to point a client at it. It runs until a signal.
"""

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click
import uvloop

from edgeclient.simulator import (
    EFFECTS,
    ERRORS,
    PROVIDER_LIMITS,
    BatchPace,
    BatchRules,
    CertificateMode,
    Fault,
    ModelLimits,
    ModelPace,
    Simulator,
    SimulatorConfig,
    fault_of_flag,
    faults_of_file,
    row_of_flag,
)

# Flags of File Batch, by the field that each one sets.
_RULES: Final = {
    "batch_max_bytes": "file_bytes",
    "batch_max_lines": "file_lines",
    "batch_max_line_bytes": "line_bytes",
    "batch_api_limits": "api_limits",
}
_PACE: Final = {
    "batch_manual": "manual",
    "batch_validating_s": "validating_s",
    "batch_line_s": "line_s",
    "batch_finalizing_s": "finalizing_s",
    "batch_parallel": "parallel",
    "batch_time_scale": "time_scale",
}


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
        f"batch chat, half price: {sim.batch_chat_url}",
        f"quotas: {sim.native_url}/quotas",
        f"faults, ledger, stats, limits, pace, batches: {sim.origin}/__sim__/",
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


def _config(options: dict[str, Any]) -> SimulatorConfig:
    """The configuration that the flags mean; raises `ValueError` for what cannot be."""
    rules = BatchRules(**{field: options.pop(flag) for flag, field in _RULES.items()})
    pace = BatchPace(**{field: options.pop(flag) for flag, field in _PACE.items()})
    region, file = options.pop("region"), options.pop("file")
    limits = [row_of_flag(flag, ModelLimits, first="model", what="limit") for flag in options.pop("limits")]
    paces = [row_of_flag(flag, ModelPace, first="model", what="pace") for flag in options.pop("paces")]
    faults: list[Fault] = [*(faults_of_file(file) if file else ()), *map(fault_of_flag, options.pop("flags"))]
    return SimulatorConfig(
        certificate=CertificateMode(options.pop("certificate")),
        limits=(*limits, *PROVIDER_LIMITS.get(region, ())),
        paces=tuple(paces),
        faults=tuple(faults),
        batch=rules,
        batch_pace=pace,
        **options,
    )


Flags = Callable[[Callable[..., None]], Callable[..., None]]


def _all(*flags: Flags) -> Flags:
    """Flags in the order of the help."""

    def over(command: Callable[..., None]) -> Callable[..., None]:
        for flag in reversed(flags):
            command = flag(command)
        return command

    return over


_LISTENING: Final = _all(
    click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on."),
    click.option("--port", default=8443, show_default=True, help="Port to listen on; 0 takes a free one."),
    click.option("--plaintext", is_flag=True, help="No TLS: HTTP/2 by prior knowledge, or HTTP/1.1."),
    click.option("--http1-only", is_flag=True, help="Do not offer HTTP/2."),
    click.option("--directory", type=click.Path(path_type=Path, file_okay=False), help="Where ca.pem is written."),
    click.option(
        "--certificate",
        type=click.Choice([mode.value for mode in CertificateMode]),
        default="valid",
        show_default=True,
        help="In which way the certificate is wrong.",
    ),
    click.option(
        "--name", "extra_names", multiple=True, help="Further name or address in the certificate; repeatable."
    ),
    click.option("--api-key", help="The only key that is accepted; without it any key is."),
    click.option("--max-streams", default=256, show_default=True, help="Concurrent streams per HTTP/2 connection."),
    click.option("--gzip", is_flag=True, help="Compress unary answers for clients that accept it."),
    click.option("--keep-bodies", is_flag=True, help="Keep request bodies in the ledger (bounded)."),
)
_MODEL: Final = _all(
    click.option("--seed", default=1, show_default=True, help="Of answers, jitter and random faults."),
    click.option(
        "--sampling", is_flag=True, help="Equal requests get other answers, but at temperature 0 or with a seed."
    ),
    click.option("--latency-ms", default=0.0, help="Wait before the head of every answer."),
    click.option("--ttft-ms", default=0.0, help="Wait from the head to the first token."),
    click.option("--prefill-tokens-per-s", default=0.0, help="Speed of reading the prompt; 0 is no delay."),
    click.option("--tokens-per-s", default=0.0, help="Speed of the model; 0 is as fast as possible."),
    click.option("--jitter", default=0.0, help="Spread of every wait; 0.2 is plus or minus 20 %."),
    click.option("--pace", "paces", multiple=True, help="Of some models: qwen*-flash,ttft_ms=90,tokens_per_s=200."),
    click.option("--tokens-per-chunk", default=4, show_default=True, help="Tokens in one chunk of a stream."),
    click.option("--cache-min-tokens", type=int, help="Report equal prefixes of so many tokens as cached; else none."),
)
_LIMITS: Final = _all(
    click.option("--rpm", type=int, help="Requests per minute and model before 429; a sixtieth of it per second."),
    click.option("--tpm", type=int, help="Tokens per minute and model before 429; the same."),
    click.option(
        "--limit",
        "limits",
        multiple=True,
        help="Of some models: qwen-plus,rpm=600,tpm=1000000,concurrency=50,burst_rpm=100,burst_tpm=50000 and "
        "burst_growth, burst_lookback_s, workspace_rpm, workspace_tpm, refused_count, reserve_output; without any "
        "number it only measures. Repeatable, the first that matches holds.",
    ),
    click.option(
        "--provider-limits",
        "region",
        type=click.Choice([*PROVIDER_LIMITS]),
        help="The provider's table, behind --limit.",
    ),
)
_BATCH: Final = _all(
    click.option("--batch-manual", is_flag=True, help="Batches move only by POST /__sim__/batches/{id}/step."),
    click.option("--batch-time-scale", default=1.0, show_default=True, help="Seconds of a batch in one second."),
    click.option("--batch-validating-s", default=0.0, help="From the creation of a batch to its check."),
    click.option("--batch-line-s", default=0.0, help="Duration of a line of a batch."),
    click.option("--batch-finalizing-s", default=0.0, help="From the last line to the results."),
    click.option("--batch-parallel", default=8, show_default=True, help="Lines of a batch at a time."),
    click.option("--batch-max-bytes", default=BatchRules().file_bytes, show_default=True, help="Of a batch file."),
    click.option("--batch-max-lines", default=BatchRules().file_lines, show_default=True, help="Of a batch file."),
    click.option("--batch-max-line-bytes", default=BatchRules().line_bytes, show_default=True, help="Of each."),
    click.option(
        "--batch-api-limits", is_flag=True, help="Refuse too many calls of the endpoints of files and batches."
    ),
    click.option("--batch-chat-wait-ms", default=0.0, help="Wait of a batch chat for its turn."),
    click.option("--batch-chat-longest-s", default=3600.0, show_default=True, help="After this it is refused."),
)
_FAULTS: Final = _all(
    click.option("--faults", "file", type=click.Path(path_type=Path, dir_okay=False), help="Rules in TOML or JSON."),
    click.option(
        "--fault", "flags", multiple=True, help="A rule, as limit_requests,every=5,retry_after=2; repeatable."
    ),
    click.option(
        "--list-faults",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_print_faults,
        help="Print the names of all faults and leave.",
    ),
)


@click.command("sim")
@_LISTENING
@_MODEL
@_LIMITS
@_BATCH
@_FAULTS
def sim(**options: Any) -> None:
    """Run a local Qwen cloud that can misbehave on order.

    It serves chats, embeddings, files and batches, batch chats at half the price (under /batch-chat) and the quotas
    (under /api/v1). Rules of faults can be changed while it runs: GET, PUT, POST and DELETE /__sim__/faults. What it
    received and billed is at /__sim__/ledger, its connections at /__sim__/stats, the rate limits with their use and
    refusals at /__sim__/limits, the waits at /__sim__/pace, the batches at /__sim__/batches.
    """
    try:
        config = _config(options)
    except (ValueError, OSError) as error:
        raise click.UsageError(str(error)) from None
    try:
        uvloop.run(_run(config))
    except OSError as error:
        raise click.ClickException(f"cannot listen on {config.host}:{config.port}: {error.strerror}") from None
