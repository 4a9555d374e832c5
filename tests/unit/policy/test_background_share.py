from edgeclient.policy.background_share import WINDOW_S, BackgroundShare


def test_jobs_take_their_share_where_no_live_call_came() -> None:
    assert 50 == BackgroundShare(most=0.5).places(100, 0.0)


def test_jobs_leave_what_live_calls_needed_at_most() -> None:
    share = BackgroundShare(most=0.5)
    for count in (10, 90, 20):
        share.needed(count, 1.0)

    assert 10 == share.places(100, 1.0)


def test_one_place_is_theirs_in_any_case() -> None:
    share = BackgroundShare(most=0.5)
    share.needed(500, 1.0)

    assert 1 == share.places(100, 1.0)
    assert 1 == BackgroundShare(most=0.0).places(100, 1.0)
    assert 1 == BackgroundShare(most=0.5).places(1, 1.0)


def test_need_is_remembered_for_a_window_and_forgotten_after_two() -> None:
    share = BackgroundShare(most=1.0)
    share.needed(0, 0.0)
    share.needed(90, WINDOW_S - 1)

    assert 10 == share.places(100, 2 * WINDOW_S - 1)
    assert 100 == share.places(100, 3 * WINDOW_S - 1)


def test_need_of_long_ago_is_no_need_of_the_window_before() -> None:
    share = BackgroundShare(most=1.0)
    share.needed(90, 0.0)

    assert 100 == share.places(100, 10 * WINDOW_S)
