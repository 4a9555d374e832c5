"""A single item may have 20 MiB as base64."""

import pytest

from edgeclient.stages.validate.findings import Findings
from edgeclient.stages.validate.media import MOST_ITEM_BYTES, check_parts
from edgeclient.v1 import chat_pb2


@pytest.mark.parametrize(("byte_count", "violation_count"), [(MOST_ITEM_BYTES, 0), (MOST_ITEM_BYTES + 1, 1)])
def test_item_above_the_limit_of_the_provider_is_refused(byte_count: int, violation_count: int) -> None:
    found = Findings()
    media = chat_pb2.Media(data=bytes(byte_count), mime_type="image/png")
    check_parts([chat_pb2.ContentPart(image=media)], "messages[0]", None, found)
    assert violation_count == found.count
