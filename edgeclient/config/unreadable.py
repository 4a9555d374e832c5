"""Why a file that a setting names cannot be read, and what would be right, for the end of a sentence.

A file that is there and forbidden is the usual mistake with a mounted Secret: it belongs to root, and the daemon is
somebody else. "Permission denied" names neither of them.
"""

import os
import stat
from pathlib import Path

from edgeclient.config.setting import SettingError


def why_unreadable(error: OSError) -> str:
    """The end of a sentence that begins with the file."""
    said = f"cannot be read: {error.strerror or type(error).__name__}"
    if not isinstance(error, PermissionError) or not isinstance(error.filename, str | os.PathLike):
        return said
    uid = os.geteuid()
    try:
        status = Path(error.filename).stat()
    except OSError:
        return f"{said}; edgeclient runs as uid {uid} and may not enter its folder; chown or chmod that"
    mode = stat.S_IMODE(status.st_mode)
    whose = f"it belongs to uid {status.st_uid} and has mode {mode:04o}"
    cure = "chown it or widen its mode (in Kubernetes fsGroup and defaultMode: 0440)"
    return f"{said}; edgeclient runs as uid {uid}, and {whose}; {cure}"


def check_readable(setting: str, path: str) -> None:
    """Look whether a file that is read later, by somebody else, can be read.

    Raises:
        SettingError: It cannot.
    """
    try:
        with Path(path).open("rb") as file:
            file.read(1)
    except OSError as error:
        raise SettingError([f"{setting}: {path} {why_unreadable(error)}"]) from None
