"""The node key: 32 bytes in a file, which everything in the queue is encrypted under in the end.

Whoever can read this file and the disk can read the queue, so a file that everyone on the box can read is refused and
not warned about: a warning is read after the loss. Group readers are permitted, because Kubernetes mounts a Secret
for an unprivileged process that way (`defaultMode: 0440` with `fsGroup`). The file is opened once and its mode is asked
of the open file, so that what is checked is what is read.

The key goes nowhere but into `Vault`: not into a log, an exception or a `repr`.
"""

import base64
import binascii
import os
import re
import stat
from pathlib import Path

from edgeclient.config.setting import SettingError
from edgeclient.config.unreadable import why_unreadable

KEY_BYTES = 32
_SETTING = "spool.encryption_key_file"
_LONGEST_BYTES = 1024  # many times a key with white space; more is another file, such as a PEM
_HEX = re.compile(r"[0-9A-Fa-f]{64}")  # also base64, of 48 bytes, which no key has; so hex is asked first
_ADVICE = "make one with: openssl rand -base64 32"
# 32 random bytes hold fewer than 16 different values once in 10^9; what people type as a placeholder holds a few.
_FEWEST_VALUES = 16


def node_key(path: Path, *, setting: str = _SETTING) -> bytes:
    """The key in the file, 32 bytes.

    Args:
        path: The file.
        setting: What names it, for the sentence about what is wrong.

    Raises:
        SettingError: The file cannot be read, is open to everyone, or holds no key. Its content is not repeated.
    """
    try:
        with path.open("rb") as file:
            _refuse_open_file(os.fstat(file.fileno()))
            content = file.read(_LONGEST_BYTES + 1)
        return _decoded(content)
    except OSError as error:
        why = why_unreadable(error)
    except ValueError as error:
        why = str(error)
    raise SettingError([f"{setting}: {path} {why}"])


def _refuse_open_file(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("is no regular file")
    if status.st_mode & (stat.S_IWGRP | stat.S_IRWXO):
        raise ValueError(
            f"has mode {stat.S_IMODE(status.st_mode):04o}, so others can read or change it;"
            " use chmod 0400 (in Kubernetes defaultMode: 0400, or 0440 with fsGroup)"
        )


def _decoded(content: bytes) -> bytes:
    if len(content) > _LONGEST_BYTES:
        raise ValueError(f"holds more than {_LONGEST_BYTES} bytes, so it is no key file; {_ADVICE}")
    text = content.decode("latin-1").strip()
    if not text:
        raise ValueError(f"is empty; {_ADVICE}")
    key = bytes.fromhex(text) if _HEX.fullmatch(text) else _from_base64(text)
    if len(key) != KEY_BYTES:
        raise ValueError(f"holds {len(key)} bytes, a key has {KEY_BYTES}; {_ADVICE}")
    if len(set(key)) < _FEWEST_VALUES:
        raise ValueError(f"holds a placeholder, not random bytes; {_ADVICE}")
    return key


def _from_base64(text: str) -> bytes:
    """Both alphabets, with or without padding, because tools write all four."""
    standard = text.replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"holds neither base64 nor 64 hex digits; {_ADVICE}") from None
