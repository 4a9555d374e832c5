from edgeclient.core.errors import Reason, Throttled
from edgeclient.policy.lane_pauses import LONGEST_PAUSE_S, LanePauses

LANE = ("ours", "qwen-plus")


def limited(retry_after_s: float | None, *, told: bool = True) -> Throttled:
    return Throttled(
        Reason.ERROR_REASON_UPSTREAM_RATE_LIMITED, "less", retry_after_s=retry_after_s, retry_after_told=told
    )


def test_what_was_told_holds_for_all_and_what_was_guessed_is_a_preference() -> None:
    pauses = LanePauses()
    assert not pauses

    pauses.throttled(LANE, limited(30.0), 100.0)
    pauses.throttled(("theirs", "qwen-plus"), limited(20.0, told=False), 100.0)

    assert pauses
    assert (30.0, 0.0) == (pauses.told_s(LANE, 100.0), pauses.guessed_s(LANE, 100.0))
    assert (0.0, 15.0) == tuple(look(("theirs", "qwen-plus"), 105.0) for look in (pauses.told_s, pauses.guessed_s))
    assert 0.0 == pauses.told_s(("ours", "qwen-max"), 100.0)


def test_a_pause_ends_and_is_forgotten() -> None:
    pauses = LanePauses()
    pauses.throttled(LANE, limited(30.0), 100.0)
    assert 0.0 == pauses.told_s(LANE, 130.0)

    pauses.throttled(("theirs", "m"), limited(1.0), 130.0)

    assert "ours" not in repr(pauses)


def test_others_look_again_after_a_minute() -> None:
    pauses = LanePauses()
    pauses.throttled(LANE, limited(3600.0), 100.0)

    assert LONGEST_PAUSE_S == pauses.told_s(LANE, 100.0)


def test_the_longer_one_of_those_that_were_told_together_counts() -> None:
    pauses = LanePauses()
    pauses.throttled(LANE, limited(30.0), 100.0)
    pauses.throttled(LANE, limited(2.0), 101.0)

    assert 29.0 == pauses.told_s(LANE, 101.0)


def test_a_pause_without_a_length_is_none() -> None:
    pauses = LanePauses()
    pauses.throttled(LANE, limited(None), 100.0)

    assert 0.0 == pauses.told_s(LANE, 100.0)
