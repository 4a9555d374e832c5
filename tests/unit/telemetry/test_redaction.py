import pytest

from edgeclient.telemetry.redaction import BLOT, redact, redact_value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sk-0123456789abcdef", BLOT),
        ("key sk-ws-H.AbC_9.xyz, and more", f"key {BLOT}, and more"),
        ("a\nsk-0123456789", f"a\n{BLOT}"),
        ("Authorization: Bearer eyJhbGciOi.x-y_z", f"Authorization: Bearer {BLOT}"),
        ("authorization=bearer abc", f"authorization=bearer {BLOT}"),
        ("'Bearer abc'", f"'Bearer {BLOT}'"),
    ],
)
def test_credential_is_blotted_out(text: str, expected: str) -> None:
    assert expected == redact(text)


@pytest.mark.parametrize(
    "text", ["", "task-assessment", "risk-management plan", "sk-", "the bearer of news", "qwen-plus"]
)
def test_ordinary_text_is_left_alone(text: str) -> None:
    expected = text.replace("bearer of", f"bearer {BLOT}")  # the price of not missing a key

    assert expected == redact(text)


def test_foreign_values_become_text_before_they_are_searched() -> None:
    assert f"ValueError('{BLOT}')" == redact_value(repr(ValueError("sk-0123456789")))
    assert redact_value(ValueError("sk-0123456789")) == BLOT


@pytest.mark.parametrize("value", [None, True, 3, 2.5])
def test_numbers_stay_numbers(value: object) -> None:
    assert value is redact_value(value)
