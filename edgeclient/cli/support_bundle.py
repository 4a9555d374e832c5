"""`edgeclient support-bundle`: one file with what somebody needs who is to help, and nothing that is nobody's business.

It works whether the daemon runs or not, and on a box where nothing is right: a part that cannot be had is missing with
its reason, in `manifest.json`. It holds no key, no password and no token, and no prompt and no answer; it does hold
names: of callers, models, hosts and paths.
"""

import asyncio
import io
import json
import os
import sys
import tarfile
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from edgeclient import __version__
from edgeclient.cli.exit_codes import ExitCode, exit_code_help
from edgeclient.cli.failure import Failure
from edgeclient.cli.settings import config_option, set_option
from edgeclient.cli.support_part import MissingError
from edgeclient.config.load import Loaded, load
from edgeclient.config.setting import SettingError

_EXAMPLES = """\b
Examples:
  edgeclient support-bundle --config /etc/edgeclient/edgeclient.toml
  kubectl exec deploy/edgeclient -- edgeclient support-bundle -o - > bundle.tar.gz
  edgeclient support-bundle --log /var/log/edgeclient.log
"""
_STDOUT = "-"
_LEFT_OUT = {
    "log": "a log may hold more than its owner knows; --log FILE takes the end of one along, look through it first",
    "prompts and answers": "the content of jobs and of the cache is never taken along",
    "prepare.file": "its texts are content",
}


@click.command("support-bundle", epilog=f"{_EXAMPLES}\n{exit_code_help()}")
@config_option
@set_option
@click.option(
    "--output",
    "-o",
    metavar="FILE",
    help="Where to write it; - for standard output. [default: edgeclient-support-<time>.tar.gz]",
)
@click.option(
    "--log",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Take the last MiB of this file along. Look through it before: what looks like a key is blotted out, no more.",
)
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=1, max=600),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="Longest time for the checks of doctor.",
)
def support_bundle(
    *, file: Path | None, overrides: dict[str, str], output: str | None, log: Path | None, timeout_s: float
) -> None:
    """Collect what support needs, without secrets and without content.

    Versions, settings, the report of doctor, metrics, usage, counts of the queue, and what the box has. Run it where
    the daemon runs, as its user, with its environment; it may run or not. It changes no data. Look into it before you
    send it: it is a tar of texts, and names callers, models and hosts.
    """
    from edgeclient.cli.doctor_run import Told  # noqa: PLC0415  --help should not wait for gRPC
    from edgeclient.cli.support_parts import Box  # noqa: PLC0415

    made = datetime.now(UTC)
    loaded, problems = _loaded(file, overrides)
    told = Told(file=file, environ=os.environ, overrides=overrides, timeout_s=timeout_s)
    box = Box(told=told, loaded=loaded, problems=problems, log=log)
    files = asyncio.run(_collected(box, made))
    name = f"edgeclient-support-{made:%Y%m%dT%H%M%SZ}"
    _write(_tar(files, name), output or f"{name}.tar.gz")


def _loaded(file: Path | None, overrides: Mapping[str, str]) -> tuple[Loaded | None, tuple[str, ...]]:
    try:
        return load(file=file, environ=os.environ, overrides=overrides), ()
    except SettingError as error:
        return None, tuple(error.problems)


async def _collected(box: Any, made: datetime) -> dict[str, bytes]:
    """The files by name, the manifest first; tells on stderr what comes and what is missing."""
    from edgeclient.cli.support_redaction import Redaction, secrets_of  # noqa: PLC0415

    redaction = Redaction(secrets_of(box.told.environ, box.loaded.config if box.loaded else None))
    files: dict[str, bytes] = {}
    parts, missing = [], []
    for part in box.parts():
        try:
            content = await part.make()
        except MissingError as error:
            why = redaction.text(str(error))
        except Exception as error:  # noqa: BLE001  a defect in one part must not cost all the others
            why = f"a defect: {type(error).__name__}; please report it"
        else:
            text = redaction.text(content) if isinstance(content, str) else _json(redaction, content)
            files[part.name] = text.encode()
            parts.append({"name": part.name, "what": part.what, "bytes": len(files[part.name])})
            click.echo(f"{part.name:<18} {part.what}", err=True)
            continue
        missing.append({"name": part.name, "what": part.what, "why": why})
        click.echo(f"{part.name:<18} missing: {why}", err=True)
    manifest = {
        "edgeclient": __version__,
        "made": made.isoformat(timespec="seconds"),
        "parts": parts,
        "missing": missing,
        "left_out": _LEFT_OUT if box.log is None else {name: why for name, why in _LEFT_OUT.items() if name != "log"},
    }
    return {"manifest.json": _json(redaction, manifest).encode()} | files


def _json(redaction: Any, content: Any) -> str:
    return json.dumps(redaction.value(content), indent=1, ensure_ascii=False) + "\n"


def _tar(files: Mapping[str, bytes], folder: str) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(f"{folder}/{name}")
            entry.size, entry.mtime, entry.mode = len(content), int(time.time()), 0o600
            tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def _write(content: bytes, output: str) -> None:
    if output == _STDOUT:
        sys.stdout.buffer.write(content)
        return
    try:
        descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
    except OSError as error:
        advice = "Give another place with -o FILE; -o - writes to standard output."
        raise Failure(ExitCode.CONFIG, f"{output} cannot be written: {error.strerror}", details=[advice]) from None
    click.echo(output)
