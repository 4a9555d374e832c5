"""What the exit code says to a script, in one table.

The numbers are those of BSD's sysexits.h, so that 75 means "try again later" to other tools too; 1 is what a checker
says that has found something, 2 is what click gives for a wrong command line, 130 and 141 are what a shell reports for
a program ended by SIGINT and SIGPIPE.
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """How a command ended."""

    OK = 0
    FOUND = 1
    USAGE = 2
    DATA = 65
    UNAVAILABLE = 69
    INTERNAL = 70
    TEMPORARY = 75
    NOT_PERMITTED = 77
    CONFIG = 78
    INTERRUPTED = 130
    BROKEN_PIPE = 141


MEANINGS: dict[ExitCode, str] = {
    ExitCode.OK: "done",
    ExitCode.FOUND: "doctor has found a failure",
    ExitCode.USAGE: "the command line is wrong",
    ExitCode.DATA: "the request or an input line is wrong; the same again fails again",
    ExitCode.UNAVAILABLE: "the node or the service behind it cannot be used",
    ExitCode.INTERNAL: "a defect; please report the request id",
    ExitCode.TEMPORARY: "not now; the same again later can succeed",
    ExitCode.NOT_PERMITTED: "token or certificate is missing, wrong or not allowed to do this",
    ExitCode.CONFIG: "a file, key or setting is wrong; somebody has to mend it",
    ExitCode.INTERRUPTED: "interrupted by Ctrl-C",
    ExitCode.BROKEN_PIPE: "the reader of the output went away, as in `| head`",
}


def exit_code_help() -> str:
    """The table as a paragraph of click help."""
    rows = [f"  {code.value:>3}  {meaning}" for code, meaning in MEANINGS.items()]
    return "\n".join(["\b", "Exit codes:", *rows])
