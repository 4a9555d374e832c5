"""Mixed content: which parts a message has, where their bytes come from, and whether the model can take them.

The provider fetches a URL itself, so it has to be one that everybody can reach: https with a host. Whether it exists is
not asked here. A single item may have 20 MiB as base64 (Qwen, 2026), which is 15 MiB of bytes.
"""

import re
from collections.abc import Sequence
from itertools import islice
from urllib.parse import urlsplit

from edgeclient.core.models import ModelSpec
from edgeclient.stages.validate.findings import Findings
from edgeclient.stages.validate.rules import MOST_PARTS
from edgeclient.v1 import chat_pb2

MOST_ITEM_BYTES = 15 * 1024 * 1024
_MOST_URL = 8192
_MIME_TYPE = re.compile(r"([a-z]+)/[a-z0-9][a-z0-9.+-]{0,99}")
_NOT_IN_URLS = re.compile(r"[\x00-\x20\x7f]")


def check_parts(parts: Sequence[chat_pb2.ContentPart], path: str, model: ModelSpec | None, found: Findings) -> None:
    """Look at the parts of one message.

    Args:
        parts: The parts.
        path: Path of the message.
        model: The model that is asked; None if it is not known.
        found: Takes what is wrong.
    """
    for index, part in enumerate(islice(parts, MOST_PARTS)):
        kind = part.WhichOneof("part")
        if kind is None:
            found.add(f"{path}.parts[{index}]", "is empty; set text, image, audio or video")
        elif kind == "text":
            if not part.text:
                found.add(f"{path}.parts[{index}].text", "is empty; leave the part out")
        else:
            where = f"{path}.parts[{index}].{kind}"
            if model is not None and kind not in model.modalities:
                takes = " and ".join(("text", *model.modalities))
                found.add(where, f"{model.id} takes {takes} only; choose a model that takes {kind}")
            _check_media(getattr(part, kind), kind, where, found)


def _check_media(media: chat_pb2.Media, kind: str, path: str, found: Findings) -> None:
    source = media.WhichOneof("source")
    if source is None:
        found.add(path, "has no source; set url or data")
    elif source == "url":
        problem = _url_problem(media.url)
        if problem:
            found.add(f"{path}.url", problem)
    else:
        byte_count = len(media.data)
        if not byte_count:
            found.add(f"{path}.data", "is empty; put the bytes there or set url")
        elif byte_count > MOST_ITEM_BYTES:
            found.add(f"{path}.data", f"has {byte_count} bytes; at most {MOST_ITEM_BYTES} are allowed, else set url")
    mime_type = media.mime_type
    if not mime_type and source != "data":
        return
    form = _MIME_TYPE.fullmatch(mime_type.lower())
    if not form or form[1] != kind:
        state = "is no type of this kind" if mime_type else "is empty"
        found.add(f"{path}.mime_type", f"{state}; write for instance {_EXAMPLES[kind]}")


_EXAMPLES = {"image": "image/jpeg", "audio": "audio/wav", "video": "video/mp4"}


def _url_problem(url: str) -> str | None:
    if len(url) > _MOST_URL:
        return f"has {len(url)} characters; at most {_MOST_URL} are allowed"
    try:
        parts = urlsplit(url)
        usable = parts.hostname and parts.port != 0  # reading the port parses it
    except ValueError:
        usable = False
    else:
        if parts.scheme == "data":
            return "is a data URL; put the bytes into data"
        if parts.scheme != "https":
            return "is no https URL; write https://host/path"
    if not usable or _NOT_IN_URLS.search(url):
        return "is no URL that can be fetched; write https://host/path"
    return None
