"""What the user says: the arguments, what is piped in, or both, the arguments first.

Input that cannot end a prompt is not waited for: a terminal, a device such as /dev/null, a socket left open by ssh.
Bytes that are not UTF-8, as every log has some, become replacement characters instead of ending the command.
"""

import os
import stat
import sys
from collections.abc import Sequence
from io import UnsupportedOperation

from edgeclient.cli.exit_codes import ExitCode
from edgeclient.cli.failure import Failure

# The largest message that a gRPC server takes by default; no context window holds it.
_LIMIT_BYTES = 4 << 20


def prompt_of(words: Sequence[str], *, read_stdin: bool) -> str:
    """The prompt; empty if neither arguments nor a pipe gave one.

    Raises:
        Failure: The input is too large.
    """
    typed = well_formed(" ".join(words)) if list(words) != ["-"] else ""
    piped = _piped() if read_stdin else ""
    return "\n\n".join(part for part in (typed, piped) if part.strip())


def well_formed(text: str) -> str:
    """Text that protobuf takes: what the shell passed as odd bytes becomes replacement characters."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def stdin_is_terminal() -> bool:
    """A person can type."""
    return sys.stdin.isatty()


def _piped() -> str:
    stream = sys.stdin.buffer
    try:
        mode = os.fstat(stream.fileno()).st_mode
    except (UnsupportedOperation, OSError):
        readable = not stream.isatty()
    else:
        readable = stat.S_ISFIFO(mode) or stat.S_ISREG(mode)
    if not readable:
        return ""
    content = stream.read(_LIMIT_BYTES + 1)
    if len(content) > _LIMIT_BYTES:
        raise Failure(
            ExitCode.DATA, f"the input is larger than {_LIMIT_BYTES >> 20} MiB; send a part of it, as `tail` does"
        )
    return content.decode("utf-8", "replace").rstrip("\n")
