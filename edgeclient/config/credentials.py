"""The provider's API key: from the environment, or from a file that may be replaced while the node runs.

A key file is looked at when a key is wanted, at most once a second, and read again when its times, its size or its
inode differ: Kubernetes and careful people replace files by renaming, and a repaired permission shows in one of the
times only. A file that has become unreadable or nonsense does not stop a node that works: the last good key stays in
use, and the problem is told once. At start there is no last good key, so there it is a mistake in the settings.

The key goes into one header and nowhere else: not into a log, an event, an exception or a `repr`.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from edgeclient.config.setting import SettingError
from edgeclient.config.unreadable import why_unreadable
from edgeclient.core.events import KeyChanged, KeyUnreadable
from edgeclient.core.ports import Clock, Observe

VARIABLE = "DASHSCOPE_API_KEY"
_LOOK_AGAIN_S = 1.0
_LONGEST_BYTES = 4096

_Stamp = tuple[int, ...]


class EnvironmentKey:
    """A key that stays what it was at start.

    Args:
        environment: The environment of the process.
        path: Where the settings of the target stand.

    Raises:
        SettingError: There is no key, or it is none.
    """

    __slots__ = ("_key",)

    def __init__(self, environment: Mapping[str, str], *, path: str = "upstream") -> None:
        text = environment.get(VARIABLE, "")
        if not text.strip():
            raise SettingError([f"{path}.api_key_file: is not set and neither is {VARIABLE}; one of them has to be"])
        try:
            self._key = _checked(text)
        except ValueError as error:
            raise SettingError([f"{VARIABLE}: {error}"]) from None

    def __repr__(self) -> str:
        return f"<EnvironmentKey from {VARIABLE}>"

    def current(self) -> str:
        """The key."""
        return self._key


class FileKey:
    """A key in a file; see the module.

    Args:
        path: The file.
        observe: Takes `KeyChanged` and `KeyUnreadable`.
        clock: Tells when a second has passed.
        setting_path: Where the settings of the target stand.
        target: Name of the target.

    Raises:
        SettingError: The file cannot be read or holds no key.
    """

    __slots__ = ("_clock", "_key", "_look_at_s", "_observe", "_path", "_stamp", "_target")

    def __init__(
        self, path: Path, *, observe: Observe, clock: Clock, setting_path: str = "upstream", target: str = ""
    ) -> None:
        self._path = path
        self._target = target
        self._observe = observe
        self._clock = clock
        self._look_at_s = clock.monotonic_s() + _LOOK_AGAIN_S
        try:
            self._stamp: _Stamp | None = _stamp(path)
            self._key = _read(path)
        except (OSError, ValueError) as error:
            raise SettingError([f"{setting_path}.api_key_file: {path} {_sentence(error)}"]) from None

    def __repr__(self) -> str:
        return f"<FileKey from {self._path}>"

    def current(self) -> str:
        """The key that is valid now."""
        now_s = self._clock.monotonic_s()
        if now_s >= self._look_at_s:
            self._look_at_s = now_s + _LOOK_AGAIN_S
            self._look()
        return self._key

    def _look(self) -> None:
        """Read the file if it is another one than before; a problem is told when it begins, not each second."""
        try:
            stamp: _Stamp | None = _stamp(self._path)
        except OSError as error:
            stamp = None
            problem: Exception | None = error
        else:
            problem = None
        if stamp == self._stamp:
            return
        self._stamp = stamp
        key = ""
        if problem is None:
            try:
                key = _read(self._path)
            except (OSError, ValueError) as error:
                problem = error
        if problem is not None:
            self._observe(KeyUnreadable(source=str(self._path), problem=_sentence(problem), target=self._target))
        elif key != self._key:
            self._key = key
            self._observe(KeyChanged(source=str(self._path), target=self._target))


def key_source(
    api_key_file: str,
    environment: Mapping[str, str],
    *,
    observe: Observe,
    clock: Clock,
    path: str = "upstream",
    target: str = "",
) -> EnvironmentKey | FileKey:
    """The key source that the settings ask for.

    Args:
        api_key_file: The file; "": the key is in the environment.
        environment: The environment of the process.
        observe: Takes `KeyChanged` and `KeyUnreadable`.
        clock: Tells when a second has passed.
        path: Where the settings of the target stand, such as `targets[1]`.
        target: Name of the target.

    Raises:
        SettingError: It yields no key.
    """
    if api_key_file:
        return FileKey(Path(api_key_file), observe=observe, clock=clock, setting_path=path, target=target)
    return EnvironmentKey(environment, path=path)


def _stamp(path: Path) -> _Stamp:
    status = os.stat(path)  # noqa: PTH116  the same call, a third of the cost; it runs on the way of calls
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino


def _read(path: Path) -> str:
    with path.open("rb") as file:
        content = file.read(_LONGEST_BYTES + 1)
    if len(content) > _LONGEST_BYTES:
        raise ValueError(f"holds more than {_LONGEST_BYTES} bytes, so it is no key file")
    return _checked(content.decode("latin-1"))


def _checked(text: str) -> str:
    """The key without the white space round it."""
    key = text.strip(" \t\r\n")
    if not key:
        raise ValueError("is empty; it has to hold the API key and nothing else")
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ValueError("holds more than one word, or characters that no key has; it has to hold the API key only")
    return key


def _sentence(error: Exception) -> str:
    """What is wrong, without the content of the file."""
    return why_unreadable(error) if isinstance(error, OSError) else str(error)
