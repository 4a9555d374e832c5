from edgeclient.telemetry.suppression import Suppression


def test_first_of_a_kind_is_admitted() -> None:
    assert Suppression().admit("a", now_s=0.0) == 0


def test_same_kind_is_suppressed_within_the_interval_and_counted() -> None:
    suppression = Suppression(interval_s=10)
    suppression.admit("a", now_s=0.0)

    assert [suppression.admit("a", now_s=now_s) for now_s in (0.0, 5.0, 9.999)] == [None, None, None]
    assert suppression.admit("a", now_s=10.0) == 3
    assert None is suppression.admit("a", now_s=19.9)
    assert suppression.admit("a", now_s=20.0) == 1


def test_kinds_do_not_suppress_each_other() -> None:
    suppression = Suppression()
    suppression.admit("a", now_s=0.0)

    assert suppression.admit("b", now_s=0.0) == 0


def test_memory_is_bounded_and_forgets_the_oldest() -> None:
    suppression = Suppression(interval_s=10, max_keys=2)
    for key in ("a", "b", "c"):
        suppression.admit(key, now_s=0.0)

    assert suppression.admit("a", now_s=1.0) == 0
    assert None is suppression.admit("c", now_s=1.0)


def test_admitted_again_counts_as_the_youngest() -> None:
    suppression = Suppression(interval_s=10, max_keys=2)
    suppression.admit("a", now_s=0.0)
    suppression.admit("b", now_s=5.0)
    suppression.admit("a", now_s=10.0)
    suppression.admit("c", now_s=11.0)

    assert None is suppression.admit("a", now_s=12.0)
