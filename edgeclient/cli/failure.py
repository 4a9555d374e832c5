"""A failure that a person is told: one sentence, what belongs to it, and the exit code for the script around it.

Any command may raise it; click and `main` both know how to show it. Anything else that escapes a command is a defect.
"""

from collections.abc import Sequence
from typing import IO, Any

import click

from edgeclient.cli.exit_codes import ExitCode


class Failure(click.ClickException):
    """Expected failure of a command.

    Attributes:
        exit_code: For the script.
        details: Further lines, such as one per wrong field and what to do next.
    """

    exit_code: int  # type: ignore[misc]  # click has one per class, we have one per failure

    def __init__(self, exit_code: ExitCode, message: str, *, details: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.details = tuple(details)

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the sentence and its details to stderr."""
        lines = [f"Error: {self.format_message()}", *(f"  {detail}" for detail in self.details)]
        click.echo("\n".join(lines), file=file, err=file is None)
