import pytest

from edgeclient.policy.first_bytes import LEAST_S, UNKNOWN_S, FirstBytes, FirstBytesOfTarget


def seen(*took_s: float) -> FirstBytes:
    first_bytes = FirstBytes()
    for each in took_s:
        first_bytes.learn(each)
    return first_bytes


@pytest.mark.parametrize(
    ("took_s", "bound_s"),
    [((), UNKNOWN_S), ((0.01,), LEAST_S), ((2.0, 3.0, 1.0), 6.0), ((9.0, *[1.0] * 20), 2.0)],
    ids=["nothing known", "a second at least", "twice the longest", "of the last twenty"],
)
def test_silence_is_what_lasts_twice_as_long_as_the_longest_of_late(took_s: tuple[float, ...], bound_s: float) -> None:
    first_bytes = seen(*took_s)

    assert not first_bytes.is_overdue(bound_s - 0.001)
    assert first_bytes.is_overdue(bound_s)


def test_callers_who_are_too_impatient_for_a_sound_target_find_no_silence() -> None:
    patience_s = 2.0
    in_time = seen(*(patience_s * part / 20 for part in range(1, 20)))  # the later ones were given up

    assert not in_time.is_overdue(patience_s * 1.5)


def test_each_model_and_each_kind_of_answer_is_known_by_itself() -> None:
    target = FirstBytesOfTarget()
    target.of("qwen-plus", streamed=True).learn(5.0)

    assert not target.of("qwen-plus", streamed=True).is_overdue(9.0)
    assert target.of("qwen-plus", streamed=True).is_overdue(10.0)
    assert not target.of("qwen-plus", streamed=False).is_overdue(10.0)
    assert not target.of("qwen-max", streamed=True).is_overdue(10.0)


def test_models_that_there_are_not_take_no_end_of_memory() -> None:
    target = FirstBytesOfTarget()
    first = target.of("model-0", streamed=True)
    for number in range(1, 256):
        target.of(f"model-{number}", streamed=True)
    assert first is target.of("model-0", streamed=True)

    target.of("one more", streamed=True)

    assert first is not target.of("model-0", streamed=True)
