"""What must not leave the box: the secrets that this process can know, and whatever looks like one.

No part of a support bundle is made of secrets or of content. This is the last door all the same, and everything passes
it: a proxy's password stands in a library's message, an operator pastes a key into the wrong setting. The secrets are
read where the daemon reads them, so they are found wherever they stand; what looks like a credential is found by its
shape.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote, urlsplit

from edgeclient.config.row_schema import ROWS
from edgeclient.config.schema import SECTIONS, Config
from edgeclient.telemetry.redaction import BLOT, redact

_SECRET_VARIABLE = re.compile(r"(?i)(?:key|token|secret|passw(?:or)?d|credentials?)$")
_SECRET_FILE = re.compile(r"(?:key|password|token)_file$")
_PROXY_VARIABLE = re.compile(r"(?i)_proxy$")
_USER_INFO = re.compile(r"(?<=://)[^\s/@\"']+(?=@)")
_SHORTEST = 4  # a shorter one would blot out half of the text, and is none
_MOST_BYTES = 64 * 1024


class Redaction:
    """Blots secrets out; see the module.

    Args:
        secrets: The ones that are known.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        known = {secret for secret in secrets if len(secret) >= _SHORTEST}
        longest_first = sorted(known, key=len, reverse=True)  # else the rest of a longer one would stay
        self._known = re.compile("|".join(map(re.escape, longest_first))) if known else None

    def text(self, text: str) -> str:
        """The text without them."""
        if self._known is not None:
            text = self._known.sub(BLOT, text)
        return redact(_USER_INFO.sub(BLOT, text))

    def value(self, value: Any) -> Any:
        """The same for plain data, keys included."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.text(str(key)): self.value(each) for key, each in value.items()}
        return [self.value(each) for each in value] if isinstance(value, list | tuple) else value


def secrets_of(environ: Mapping[str, str], config: Config | None) -> list[str]:
    """The secrets that the daemon would have: in its environment, and in the files that its settings name."""
    found = [text for name, text in environ.items() if _SECRET_VARIABLE.search(name)]
    for name, text in environ.items():
        found += _of_url(text) if _PROXY_VARIABLE.search(name) else []
    for path in _secret_files(config) if config is not None else ():
        found += _of_file(Path(path))
    return found


def _of_url(text: str) -> Iterator[str]:
    try:
        url = urlsplit(text if "://" in text else f"http://{text}")
        parts = (url.password or "", url.username or "")
    except ValueError:
        return
    for part in parts:
        yield from {part, unquote(part)}


def _secret_files(config: Config) -> Iterator[str]:
    parts = [getattr(config, name) for name in SECTIONS] + [row for name in ROWS for row in getattr(config, name)]
    for part in parts:
        for spec in fields(cast("Any", part)):
            if _SECRET_FILE.search(spec.name) and getattr(part, spec.name):
                yield getattr(part, spec.name)


def _of_file(path: Path) -> Iterator[str]:
    """The whole, and each line: a file of several is found even where it is told in part."""
    try:
        with path.open("rb") as file:
            text = file.read(_MOST_BYTES).decode("utf-8", "replace")
    except OSError:
        return
    yield text.strip()
    yield from (line.strip() for line in text.splitlines() if not line.startswith("-----"))
