import errno
import socket

import pytest

from edgeclient.telemetry.admin import _sentence


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OSError(errno.EADDRINUSE, ""), "a:1 is in use by another program; stop that or choose another port"),
        (
            PermissionError(errno.EACCES, ""),
            "a:1 may not be opened by this user; choose a port above 1023, or a directory it may write to",
        ),
        (OSError(errno.EADDRNOTAVAIL, ""), "a:1 is no address of this machine; 0.0.0.0 stands for all that it has"),
        (
            socket.gaierror(socket.EAI_NONAME, ""),
            "a:1 names a host that cannot be resolved; write an address of this machine",
        ),
        (OSError(errno.EIO, "as the system says it"), "a:1 cannot be opened: as the system says it"),
    ],
)
def test_reason_why_a_port_stays_shut_says_what_would_be_right(error: OSError, sentence: str) -> None:
    assert _sentence("a:1", error) == sentence
