import builders
import pytest

from edgeclient.policy.ranks import BACKGROUND, HIGH, LOW, NAMES, NORMAL, WEIGHTS, rank_of
from edgeclient.v1 import chat_pb2


@pytest.mark.parametrize(
    ("priority", "rank"),
    [
        (chat_pb2.PRIORITY_UNSPECIFIED, NORMAL),
        (chat_pb2.PRIORITY_LOW, LOW),
        (chat_pb2.PRIORITY_NORMAL, NORMAL),
        (chat_pb2.PRIORITY_HIGH, HIGH),
        (77, NORMAL),
    ],
)
def test_rank_of_a_live_call_is_its_priority(priority: int, rank: int) -> None:
    assert rank == rank_of(builders.call(request=builders.chat_request(priority=priority)))


def test_job_stands_behind_every_live_call_whatever_its_priority() -> None:
    job = builders.call(request=builders.chat_request(priority=chat_pb2.PRIORITY_HIGH), background=True)

    assert BACKGROUND == rank_of(job)
    assert BACKGROUND == min(WEIGHTS)


def test_every_rank_has_a_weight_and_a_name() -> None:
    assert set(WEIGHTS) == set(NAMES) == {BACKGROUND, LOW, NORMAL, HIGH}
