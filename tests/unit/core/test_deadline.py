"""A deadline is a value."""

from math import inf

from edgeclient.core.deadline import Deadline


def test_remaining_time_is_never_negative() -> None:
    assert Deadline(10.0).remaining_s(11.0) == 0.0


def test_a_deadline_has_passed_at_its_very_moment() -> None:
    assert not Deadline(10.0).has_passed(9.999)
    assert Deadline(10.0).has_passed(10.0)


def test_no_deadline_is_later_than_any_other() -> None:
    assert Deadline(10.0) == min(Deadline(), Deadline(10.0))
    assert inf == Deadline().remaining_s(5.0)


def test_notice_is_a_tenth_of_what_is_left_and_at_most_a_second() -> None:
    assert Deadline.after(5, now_s=100).just_before(100) == Deadline(104.5)
    assert Deadline.after(600, now_s=100).just_before(100) == Deadline(699)
    assert Deadline.after(5, now_s=100).just_before(200) == Deadline(105)
    assert Deadline().just_before(100) == Deadline()
