"""How a command reaches its node: the options that all client commands share.

Each has an environment variable, so that a shell on a box is set up once. Retries are off: a person wants to see the
failure at once, and `batch` repeats by itself; one layer repeats, not two.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from edgeclient.cli.exit_codes import ExitCode
from edgeclient.cli.failure import Failure
from edgeclient.client import EdgeClient

_TOKEN_LIMIT_BYTES = 8192
_FILE = click.Path(path_type=Path, dir_okay=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """The shared options of one run.

    Attributes:
        address: Where the node is.
        ca_file: PEM certificates to trust.
        cert_file: PEM certificate of this client.
        key_file: Its private key.
        token_file: File with the bearer token.
        plaintext: Go without TLS even over a network.
        timeout_s: Budget of one answer; None: the command's own.
    """

    address: str
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    token_file: Path | None = None
    plaintext: bool = False
    timeout_s: float | None = None

    def client(self) -> EdgeClient:
        """The client, not yet connected.

        Raises:
            Failure: An option or a file is wrong.
        """
        try:
            return EdgeClient(
                self.address,
                ca_file=self.ca_file,
                certificate_file=self.cert_file,
                key_file=self.key_file,
                token=_token(self.token_file),
                plaintext=self.plaintext or None,
                retries=False,
            )
        except ValueError as error:
            raise Failure(ExitCode.CONFIG, str(error)) from error
        except OSError as error:
            raise Failure(ExitCode.CONFIG, f"cannot read {error.filename}: {error.strerror}") from error


_OPTIONS = (
    click.option(
        "--address",
        envvar="EDGECLIENT_ADDRESS",
        default="127.0.0.1:50051",
        show_default=True,
        show_envvar=True,
        metavar="HOST:PORT",
        help="Where the node is; unix:PATH works too. TLS, except on this machine.",
    ),
    click.option(
        "--ca-file",
        type=_FILE,
        envvar="EDGECLIENT_CA_FILE",
        show_envvar=True,
        help="PEM certificates to trust instead of the system's.",
    ),
    click.option(
        "--cert-file",
        type=_FILE,
        envvar="EDGECLIENT_CERT_FILE",
        show_envvar=True,
        help="PEM certificate that names you to the node.",
    ),
    click.option(
        "--key-file", type=_FILE, envvar="EDGECLIENT_KEY_FILE", show_envvar=True, help="PEM private key of --cert-file."
    ),
    click.option(
        "--token-file",
        type=_FILE,
        envvar="EDGECLIENT_TOKEN_FILE",
        show_envvar=True,
        help="File with the bearer token that names you to the node.",
    ),
    click.option("--plaintext", is_flag=True, help="No TLS even over the network: all can read along."),
    click.option(
        "--timeout",
        "timeout_s",
        type=click.FloatRange(min=0, min_open=True, max=86_400),
        envvar="EDGECLIENT_TIMEOUT",
        show_envvar=True,
        metavar="SECONDS",
        help="Give up an answer after this time.",
    ),
)


def connection_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the shared options to a command, which gets them as one `connection`."""

    @functools.wraps(command)
    def collected(**options: Any) -> Any:
        shared = {name: options.pop(name) for name in Connection.__slots__}
        return command(connection=Connection(**shared), **options)

    for option in reversed(_OPTIONS):
        collected = option(collected)
    return collected


def _token(file: Path | None) -> str | None:
    if file is None:
        return None
    with file.open("rb") as stream:
        content = stream.read(_TOKEN_LIMIT_BYTES + 1)
    if len(content) > _TOKEN_LIMIT_BYTES:
        raise ValueError(f"{file}: a token has at most {_TOKEN_LIMIT_BYTES} bytes; is this the right file?")
    return content.decode("ascii", "replace").strip()
