"""`edgeclient health`: asks the daemon of this machine whether it serves, as a HEALTHCHECK or a script needs to know.

It reads the daemon's own settings, so that nobody has to tell it a port or a certificate: the port for health checks if
there is one, otherwise the port for devices, with or without TLS.
"""

from pathlib import Path

import click

from edgeclient.cli.exit_codes import ExitCode, exit_code_help
from edgeclient.cli.failure import Failure
from edgeclient.cli.settings import config_option, load_or_fail, set_option
from edgeclient.config.schema import IngressConfig

_EXAMPLES = """\b
Examples:
  edgeclient health
  edgeclient health --service edgeclient.v1.ChatService      # can it reach the provider?
"""
_METHOD = "/grpc.health.v1.Health/Check"


@click.command("health", epilog=f"{_EXAMPLES}\n{exit_code_help()}")
@config_option
@set_option
@click.option("--service", default="", metavar="NAME", help="Full name of a service. Else: the daemon itself.")
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0, min_open=True, max=60),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="No answer after this time is an answer.",
)
def health(*, file: Path | None, overrides: dict[str, str], service: str, timeout_s: float) -> None:
    """Tell whether the daemon that runs here serves.

    Exits with 0 if it says SERVING, with 69 if it says something else or nothing.
    """
    ingress = load_or_fail(file, overrides).config.ingress
    said = _asked(ingress, service, timeout_s)
    if said != "SERVING":
        what = service or "the daemon"
        raise Failure(ExitCode.UNAVAILABLE, f"{what} at {ingress.health_listen or ingress.listen} says: {said}")
    click.echo(said)


def _asked(ingress: IngressConfig, service: str, timeout_s: float) -> str:
    """The name of the status, or why there is none."""
    import grpc  # noqa: PLC0415  a wrong setting is told without waiting for it
    from grpc_health.v1 import health_pb2  # noqa: PLC0415

    from edgeclient.cli.own_channel import health_way  # noqa: PLC0415

    try:
        way = health_way(ingress)
    except (OSError, ValueError) as error:
        return f"nothing, because ingress.tls_certificate_file cannot be used: {error}"
    if way.credentials is None:
        channel = grpc.insecure_channel(way.address, options=way.options)
    else:
        channel = grpc.secure_channel(way.address, way.credentials, options=way.options)
    with channel:
        check = channel.unary_unary(
            _METHOD,
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        try:
            answer = check(health_pb2.HealthCheckRequest(service=service), timeout=timeout_s)
        except grpc.RpcError as error:
            hint = "; it asks for a client certificate: set ingress.health_listen" if _is_closed(ingress) else ""
            return f"nothing, {error.code().name}: {error.details()}{hint}"
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))


def _is_closed(ingress: IngressConfig) -> bool:
    """Whether the only port wants to know who asks."""
    return bool(ingress.tls_client_ca_file) and not ingress.health_listen
