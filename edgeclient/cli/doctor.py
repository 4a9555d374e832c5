"""`edgeclient doctor`: what is wrong with this node, and what to do about it.

It needs nothing but the image, takes half a minute at most, pays for nothing and leaves nothing behind. Each check is
shown when it is done, so that whoever waits sees where it waits.
"""

import asyncio
import os
import sys
import time
from pathlib import Path

import click

from edgeclient import __version__
from edgeclient.cli.doctor_verdict import Check, Level
from edgeclient.cli.doctor_view import as_data, check_text, summary
from edgeclient.cli.exit_codes import ExitCode, exit_code_help
from edgeclient.cli.output import printable, write_json
from edgeclient.cli.settings import config_option, set_option

_EXAMPLES = """\b
Examples:
  edgeclient doctor                                     as the daemon is configured by default
  edgeclient doctor --config node.toml
  edgeclient doctor --json | jq '.checks[] | select(.level == "fail")'
  kubectl exec deploy/edgeclient -- edgeclient doctor
"""


@click.command("doctor", epilog=f"{_EXAMPLES}\n{exit_code_help()}")
@config_option
@set_option
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=1, max=600),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="Longest time for all checks together.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object at the end.")
def doctor(*, file: Path | None, overrides: dict[str, str], timeout_s: float, as_json: bool) -> None:
    """Find out what is wrong with this node.

    Checks the configuration and the key, then the way to the provider (DNS, TCP, TLS, HTTP/2, credentials, models,
    latency, clock), then the box (disk, ports, certificate) and the daemon, if one runs. Run it where the daemon runs,
    as its user, with its environment. What depends on something that failed is skipped. It makes no call that costs
    money, shows no key, and changes nothing; to measure the disk it writes a file without a name.
    """
    from edgeclient.cli.doctor_run import Told, examine  # noqa: PLC0415  --help should not wait for gRPC

    begun_s = time.monotonic()
    checks: list[Check] = []

    def tell(check: Check) -> None:
        checks.append(check)
        if not as_json:
            click.echo(printable(check_text(check), sys.stdout))

    told = Told(file=file, environ=os.environ, overrides=overrides, timeout_s=timeout_s)
    asyncio.run(examine(told, tell))
    duration_s = time.monotonic() - begun_s
    if as_json:
        write_json(as_data(checks, version=__version__, duration_s=duration_s), indent=2)
    else:
        click.echo(f"\n{summary(checks, duration_s=duration_s)}")
    if any(check.verdict.level is Level.FAIL for check in checks):
        raise click.exceptions.Exit(ExitCode.FOUND)
