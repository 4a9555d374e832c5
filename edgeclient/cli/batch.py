"""`edgeclient batch`: every line of a file, resumable, accounted for."""

import asyncio
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import click

from edgeclient.cli.batch_input import count_items, items_of
from edgeclient.cli.batch_results import KeptResults, Results, StreamedResults
from edgeclient.cli.batch_run import BatchRun, Pace
from edgeclient.cli.connection import Connection, connection_options
from edgeclient.cli.exit_codes import ExitCode, exit_code_help
from edgeclient.cli.failure import Failure
from edgeclient.cli.output import write_json
from edgeclient.cli.report import failure_of
from edgeclient.cli.sampling import Sampling, sampling_options
from edgeclient.client import EdgeError

_EXAMPLES = """\b
Examples:
  edgeclient batch questions.txt -o answers.jsonl --system "One word only."
  edgeclient batch requests.jsonl -o answers.jsonl --retry-failed
  cut -f2 log.tsv | edgeclient batch - | jq -r .response.message.content
"""
_FILE = click.Path(path_type=Path, dir_okay=False, allow_dash=True)
_DASH = Path("-")
_IN_MEMORY_BYTES = 8 << 20
_JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """From where to where.

    Attributes:
        source: The input; a dash: stdin.
        target: The results; a dash: stdout.
        as_json: Lines are JSON objects; False: prompts. None: as the first line looks.
    """

    source: Path
    target: Path
    as_json: bool | None

    def results(self) -> Results:
        """Where results go.

        Raises:
            Failure: The file cannot be used.
        """
        if self.target == _DASH:
            return StreamedResults()
        if self.source != _DASH and self.target.exists() and self.target.samefile(self.source):
            raise Failure(ExitCode.USAGE, "IN and OUT are the same file")
        return KeptResults(self.target)

    @contextmanager
    def opened(self) -> Iterator[IO[bytes]]:
        """The input, from its start, with a known end.

        Raises:
            Failure: It cannot be read.
        """
        if self.source == _DASH:
            with tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES) as spooled:
                shutil.copyfileobj(sys.stdin.buffer, spooled)
                spooled.seek(0)
                yield spooled
            return
        try:
            stream = self.source.open("rb")
        except OSError as error:
            raise Failure(ExitCode.CONFIG, f"cannot read {self.source}: {error.strerror}") from error
        with stream:
            yield stream


def _format(source: Path, name: str) -> bool | None:
    if name != "auto":
        return name == "jsonl"
    if source.suffix in _JSON_SUFFIXES:
        return True
    return False if source.suffix == ".txt" else None


async def _run(connection: Connection, batch_run: BatchRun) -> None:
    async with connection.client() as node:
        await batch_run.run(node)


def _ended(batch_run: BatchRun, connection: Connection) -> EdgeError | KeyboardInterrupt | None:
    """Run to the end; returns what stopped it before."""
    try:
        asyncio.run(_run(connection, batch_run))
    except (EdgeError, KeyboardInterrupt) as error:
        batch_run.count_rest()
        return error
    return None


def _report(batch_run: BatchRun, files: Files, *, as_json: bool, quiet: bool) -> None:
    tally = batch_run.tally
    if not quiet:
        for failure in tally.first_failures:
            click.echo(f"  {failure}", err=True)
        more = tally.failed - len(tally.first_failures)
        if more > 0:
            click.echo(f"  and {more} more", err=True)
        click.echo(tally.sentence(), err=True)
        if tally.not_done and files.target != _DASH:
            click.echo("Run the same command again to go on.", err=True)
    if as_json:
        write_json(tally.counts(), err=files.target == _DASH)


@click.command("batch", epilog=f"{_EXAMPLES}\n{exit_code_help()}")
@click.argument("source", type=_FILE, metavar="IN")
@click.option(
    "--output", "-o", "target", type=_FILE, default="-", help="JSONL results. [default: stdout, not resumable]"
)
@click.option(
    "--format",
    "format_name",
    type=click.Choice(["auto", "text", "jsonl"]),
    default="auto",
    show_default=True,
    help="text: a prompt per line; jsonl: an object per line; auto: by the name, else by the first line.",
)
@click.option("--retry-failed", is_flag=True, help="Try again what failed in an earlier run.")
@click.option("--attempts", type=click.IntRange(1, 10), default=3, show_default=True, help="Tries per line.")
@click.option("--parallel", type=click.IntRange(1, 16), default=2, show_default=True, help="Calls side by side.")
@click.option("--chunk", type=click.IntRange(1), help="Lines per call. [default: the node's limit, at most 32]")
@click.option("--quiet", "-q", is_flag=True, help="No progress bar and no summary.")
@click.option("--json", "as_json", is_flag=True, help="The counts as JSON: on stdout with -o, else on stderr.")
@sampling_options
@connection_options
def batch(
    *,
    source: Path,
    target: Path,
    format_name: str,
    retry_failed: bool,
    attempts: int,
    parallel: int,
    chunk: int | None,
    quiet: bool,
    as_json: bool,
    sampling: Sampling,
    connection: Connection,
) -> None:
    """Ask a node for every line of IN (- is stdin) and write a result per line to OUT.

    IN has a prompt per line, or a JSON object per line: a ChatRequest such as {"prompt": "hi"} or {"messages": [...]},
    with an optional "id" that comes back in OUT. Results come in any order, each with the index of its line. A line
    that is wrong fails alone.

    Stopped, killed, or cut off? Run the same command again: lines that succeeded are skipped, changed ones are done
    again. --timeout is the time for one line (default 600 s).
    """
    files = Files(source=source, target=target, as_json=_format(source, format_name))
    pace = Pace(
        parallel=parallel,
        chunk_items=chunk,
        attempts=attempts,
        timeout_s=connection.timeout_s or 600.0,
        retry_failed=retry_failed,
    )
    # On a terminal, results that are printed there would run through the bar.
    hidden = quiet or not sys.stderr.isatty() or (target == _DASH and sys.stdout.isatty())
    with files.opened() as stream, closing(files.results()) as results:
        items = items_of(stream, as_json=files.as_json, defaults=sampling.request())
        with click.progressbar(
            length=count_items(stream), label="batch", file=sys.stderr, show_pos=True, hidden=hidden
        ) as bar:
            batch_run = BatchRun(items, results, pace=pace, advance=bar.update)
            stopped_by = _ended(batch_run, connection)
    _report(batch_run, files, as_json=as_json, quiet=quiet)
    if isinstance(stopped_by, EdgeError):
        raise failure_of(stopped_by, address=connection.address)
    if stopped_by:
        raise stopped_by
    raise click.exceptions.Exit(batch_run.tally.exit_code)
