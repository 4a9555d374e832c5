"""`edgeclient version`: what is installed, for a bug report.

Nothing that it names is imported, only looked up, so it answers at once and even where gRPC does not load. The one
exception is protobuf's core: whether that runs as C code or as Python is the first question about a slow node, and only
the import knows it.
"""

import json
import os
import platform
import sys
from importlib import metadata

import click
from google.protobuf.internal import api_implementation

from edgeclient import __version__


def facts() -> dict[str, str]:
    """Everything, by name."""
    system = os.uname()
    return {
        "edgeclient": __version__,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "platform": f"{system.sysname} {system.release} {system.machine}",
        "grpcio": _version("grpcio"),
        "protobuf": _version("protobuf"),
        "protobuf_implementation": api_implementation.Type(),
        "http_engine": f"h2 {_version('h2')}",
        "event_loop": f"uvloop {_version('uvloop')}",
        "executable": sys.executable,
    }


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "not installed"


@click.command("version")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def version(*, as_json: bool) -> None:
    """Tell versions, for a bug report.

    protobuf_implementation has to be upb; python is many times slower.
    """
    found = facts()
    if as_json:
        click.echo(json.dumps(found))
        return
    width = max(map(len, found))
    for name, value in found.items():
        click.echo(f"{name:<{width}}  {value}")
