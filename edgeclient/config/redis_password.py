"""The password for Redis: from a file or from the environment, read once at the start.

It goes into the connection and nowhere else: not into a log, an event, an exception or a `repr`.
"""

from collections.abc import Mapping
from pathlib import Path

from edgeclient.config.setting import SettingError
from edgeclient.config.unreadable import why_unreadable

VARIABLE = "REDIS_PASSWORD"
_LONGEST_BYTES = 4096


def redis_password(password_file: str, environ: Mapping[str, str]) -> str:
    """The password; "" if none is set.

    Args:
        password_file: The setting `cache.redis_password_file`.
        environ: The environment.

    Raises:
        SettingError: The file cannot be read or holds no password.
    """
    if not password_file:
        return environ.get(VARIABLE, "").strip()
    try:
        with Path(password_file).open("rb") as file:
            content = file.read(_LONGEST_BYTES + 1)
    except OSError as error:
        raise SettingError([f"cache.redis_password_file: {password_file} {why_unreadable(error)}"]) from None
    password = content.decode("utf-8", "replace").strip(" \t\r\n")
    if not password or len(content) > _LONGEST_BYTES or not password.isprintable():
        raise SettingError([f"cache.redis_password_file: {password_file} has to hold the password and nothing else"])
    return password
