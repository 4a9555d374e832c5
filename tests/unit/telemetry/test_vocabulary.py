from edgeclient.telemetry.faults import OTHER
from edgeclient.telemetry.vocabulary import Vocabulary


def test_known_values_keep_their_place_whatever_comes_before() -> None:
    words = Vocabulary(["qwen-plus"], spare=1)

    assert [words[word] for word in ("a", "b", "c", "qwen-plus", "a", "")] == ["a", OTHER, OTHER, "qwen-plus", "a", ""]


def test_closed_vocabulary_learns_nothing() -> None:
    words = Vocabulary(["known"], spare=0)

    assert words["new"] == OTHER
    assert words == {"": "", "known": "known"}
