"""Memory that never holds more than it may, and never gives what is too old."""

from edgeclient.policy.ttl_lru import Removed, TtlLru


def lru(*, max_count: int = 3, max_bytes: int = 100, keep_s: float = 10.0) -> TtlLru[str, str]:
    return TtlLru(max_count=max_count, max_bytes=max_bytes, keep_s=keep_s)


def filled(*keys: str, into: TtlLru[str, str] | None = None, size_bytes: int = 10) -> TtlLru[str, str]:
    made = lru() if into is None else into
    for key in keys:
        made.put(key, key.upper(), size_bytes=size_bytes, born_s=0.0, now_s=0.0)
    return made


def test_what_was_put_is_there_with_its_age() -> None:
    assert ("A", 4.0) == filled("a").get("a", now_s=4.0)


def test_what_is_too_old_is_gone_and_takes_no_room() -> None:
    made = filled("a")

    assert made.get("a", now_s=10.0) is not None
    assert made.get("a", now_s=10.1) is None
    assert (0, 0) == (len(made), made.size_bytes)


def test_least_recently_used_goes_first() -> None:
    made = filled("a", "b", "c")
    made.get("a", now_s=1.0)

    removed = made.put("d", "D", size_bytes=10, born_s=1.0, now_s=1.0)

    assert Removed(for_room=1) == removed
    assert [True, False, True, True] == [made.get(key, now_s=1.0) is not None for key in "abcd"]


def test_bytes_are_bounded_like_the_count() -> None:
    made = filled("a", "b", size_bytes=40)

    removed = made.put("c", "C", size_bytes=90, born_s=0.0, now_s=0.0)

    assert Removed(for_room=2) == removed
    assert (1, 90) == (len(made), made.size_bytes)


def test_what_is_larger_than_everything_is_not_taken_and_drives_nobody_out() -> None:
    made = filled("a", "b")

    assert Removed() == made.put("c", "C", size_bytes=101, born_s=0.0, now_s=0.0)
    assert (2, 20) == (len(made), made.size_bytes)


def test_new_value_takes_the_place_of_the_old_one() -> None:
    made = filled("a", size_bytes=40)

    made.put("a", "new", size_bytes=7, born_s=3.0, now_s=3.0)

    assert ("new", 1.0) == made.get("a", now_s=4.0)
    assert (1, 7) == (len(made), made.size_bytes)


def test_old_entries_make_room_before_young_ones_do() -> None:
    made = filled("a", "b", into=lru(max_count=3))
    made.put("c", "C", size_bytes=10, born_s=9.0, now_s=9.0)
    made.get("a", now_s=9.0)

    removed = made.put("d", "D", size_bytes=10, born_s=11.0, now_s=11.0)

    assert Removed(for_age=2) == removed
    assert made.get("c", now_s=11.0) is not None


def test_what_comes_too_late_is_not_taken() -> None:
    made = lru()

    made.put("a", "A", size_bytes=1, born_s=0.0, now_s=11.0)

    assert 0 == len(made)


def test_entries_go_by_a_condition() -> None:
    made = filled("a", "b", "c")

    assert 2 == made.remove_where(lambda value: value in "AC")
    assert (1, 10) == (len(made), made.size_bytes)


def test_memory_without_room_takes_nothing() -> None:
    assert 0 == len(filled("a", into=lru(max_count=0)))
    assert 0 == len(filled("a", into=lru(max_bytes=0)))
