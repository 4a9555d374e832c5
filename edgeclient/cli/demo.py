"""`edgeclient demo`: the main job, shown from end to end.

The daemon runs as a process of its own, as it does on a node, and is called over real gRPC. Its cloud is the simulated
one, over real HTTP/2 and TLS, unless DASHSCOPE_API_KEY is set: then it is the real one, and the calls cost a little
money.
"""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import click

from edgeclient.cli.demo_daemon import DemoDaemon
from edgeclient.cli.demo_scenes import SCENES, Stage
from edgeclient.cli.exit_codes import ExitCode
from edgeclient.cli.failure import Failure
from edgeclient.client import EdgeClient, EdgeError
from edgeclient.config.credentials import VARIABLE
from edgeclient.simulator import Simulator, SimulatorConfig

_ADDRESS = "127.0.0.1:50051"


@click.command()
@click.option("--keep", is_flag=True, help="Stay up afterwards, for trying it by hand; Ctrl-C ends it.")
@click.option("--address", help=f"Where the daemon listens. [default: {_ADDRESS}, or any free port if that is taken]")
def demo(address: str | None, *, keep: bool) -> None:
    """See everything work together, without a key.

    Starts a simulated Qwen cloud and the daemon, then plays a device: a question, a streamed answer, a chain of
    function calls, a batch, and a wrong request. With DASHSCOPE_API_KEY set, the real cloud is asked.
    """
    asyncio.run(_play(address or _free_address(), keep=keep))


async def _play(address: str, *, keep: bool) -> None:
    async with AsyncExitStack() as stack:
        cloud = None if os.environ.get(VARIABLE) else await stack.enter_async_context(_cloud())
        daemon = await stack.enter_async_context(_daemon(address, cloud))
        node = await stack.enter_async_context(EdgeClient(daemon.address))
        _introduce(daemon, cloud)
        stage = Stage(node=node, cloud=cloud)
        failed = 0
        for number, scene in enumerate(SCENES, start=1):
            click.secho(f"\n{number}. {scene.title}", bold=True)
            click.secho(f"   {scene.about}", dim=True)
            try:
                await scene.play(stage)
            except EdgeError as error:
                failed += 1
                click.secho(f"   failed: {error}", fg="red")
        await _sum_up(node, daemon, cloud)
        if keep:
            click.secho("\nstaying up; Ctrl-C ends it", bold=True)
            await _until_interrupted(daemon)
        if failed:
            raise Failure(ExitCode.UNAVAILABLE, f"{failed} of {len(SCENES)} scenes failed; see above")


def _free_address() -> str:
    """The usual address, or one with a port that the system chooses if another process has it."""
    host, _, port = _ADDRESS.rpartition(":")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, int(port)))
        except OSError:
            return f"{host}:0"
    return _ADDRESS


async def _until_interrupted(daemon: DemoDaemon) -> None:
    """Return at Ctrl-C, or when the daemon has ended by itself."""
    loop = asyncio.get_running_loop()
    ended = asyncio.create_task(daemon.ended(), name="end of the demo's daemon")
    loop.add_signal_handler(signal.SIGINT, ended.cancel)
    await asyncio.wait([ended])
    loop.remove_signal_handler(signal.SIGINT)


@asynccontextmanager
async def _cloud() -> AsyncIterator[Simulator]:
    config = SimulatorConfig(latency_ms=40, ttft_ms=120, tokens_per_s=60, jitter=0.2, keep_bodies=True)
    async with Simulator(config) as cloud:
        yield cloud


@asynccontextmanager
async def _daemon(address: str, cloud: Simulator | None) -> AsyncIterator[DemoDaemon]:
    settings = {"ingress.listen": address, "admin.listen": "127.0.0.1:0"}
    environment = dict(os.environ)
    if cloud is not None:
        environment[VARIABLE] = "sk-demo"
        settings |= {"upstream.base_url": cloud.base_url, "upstream.proxy": "none", "upstream.name": "simulated-cloud"}
        settings |= {"upstream.ca_file": str(cloud.ca_file)} if cloud.ca_file else {}
    async with DemoDaemon(settings, environment) as daemon:
        yield daemon


def _introduce(daemon: DemoDaemon, cloud: Simulator | None) -> None:
    click.secho("edgeclient demo", bold=True)
    if cloud is None:
        click.echo(f"cloud    the real one, because {VARIABLE} is set: this costs a little money")
    else:
        click.echo(f"cloud    simulated, {cloud.base_url}, HTTP/2 over TLS, CA {cloud.ca_file}")
    click.echo(f"daemon   {daemon.address}, gRPC; metrics http://{daemon.admin}/metrics")


async def _sum_up(node: EdgeClient, daemon: DemoDaemon, cloud: Simulator | None) -> None:
    status = await node.status()
    target = status.targets[0]
    click.secho("\nThe node says of itself", bold=True)
    click.echo(f"   version {status.version}, target {target.name} at {target.host} over {target.protocol}")
    if cloud is not None:
        totals, stats = cloud.ledger.totals, cloud.stats
        click.echo(
            f"   the cloud counted {totals.requests} requests on {stats.connections_accepted} connection(s), billed"
            f" {totals.prompt_tokens_billed} + {totals.tokens_billed} tokens"
        )
    click.secho("\nTry it by hand" + ("" if sys.stdout.isatty() else " (make demo KEEP=1 stays up for it)"), bold=True)
    address = daemon.address
    for line in (
        f'grpcurl -plaintext -d \'{{"prompt":"hi"}}\' {address} edgeclient.v1.ChatService/Chat',
        f'grpcurl -plaintext -d \'{{"prompt":"About boilers"}}\' {address} edgeclient.v1.ChatService/StreamChat',
        f"grpcurl -plaintext -d '{{\"temperature\":3}}' {address} edgeclient.v1.ChatService/Chat",
        f"grpcurl -plaintext {address} edgeclient.v1.NodeService/GetNodeStatus",
        f"grpcurl -plaintext {address} list",
        f"{_command()} chat --address {address} 'What is a heat pump?'",
    ):
        click.echo(f"   {line}")


def _command() -> str:
    """How this program was called, so that the line can be typed as it stands."""
    return sys.argv[0] if sys.argv[0].endswith("edgeclient") else f"{sys.executable} -m edgeclient"
