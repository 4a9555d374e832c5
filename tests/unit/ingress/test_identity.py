"""A caller is who it can prove to be."""

import hashlib
from collections.abc import Callable, Sequence

import pytest

from edgeclient.core.callers import ANONYMOUS, Caller, Callers, Known
from edgeclient.core.errors import Reason, Rejected
from edgeclient.ingress.identity import Identity
from edgeclient.ingress.inbound import Metadata

TOKEN = "a-token-of-the-camera"
CALLERS = Callers(
    [
        Known(name="camera-7", caller=Caller(), token_sha256=(hashlib.sha256(TOKEN.encode()).hexdigest(),)),
        Known(name="boiler", caller=Caller(), certificates=("boiler.site.example",)),
    ]
)


def sends(*values: str) -> Callable[[], Metadata]:
    return lambda: tuple(("authorization", value) for value in values)


def shows(*names: str) -> Callable[[], Sequence[str]]:
    return lambda: names


def never() -> Sequence[str]:
    raise AssertionError("was asked")


@pytest.mark.parametrize("value", [f"Bearer {TOKEN}", f"bearer {TOKEN}", f"BEARER   {TOKEN} "])
def test_token_names_its_caller(value: str) -> None:
    assert Identity(CALLERS).of(sends(value), never) == "camera-7"


@pytest.mark.parametrize("value", ["Bearer x", f"Bearer {TOKEN}x", f"Bearer {TOKEN.upper()}"])
@pytest.mark.parametrize("required", [True, False])
def test_token_of_nobody_is_refused_and_not_repeated(value: str, required: bool) -> None:  # noqa: FBT001
    with pytest.raises(Rejected, match="is nobody's on this node") as caught:
        Identity(CALLERS, required=required, certificates=True).of(sends(value), shows("boiler.site.example"))
    assert caught.value.reason == Reason.ERROR_REASON_CALLER_UNAUTHENTICATED
    assert value.split()[1] not in caught.value.message


@pytest.mark.parametrize("values", [(), ("",), ("Bearer ",), (TOKEN,), (f"Basic {TOKEN}",)])
def test_who_proves_nothing_is_anonymous_or_refused(values: tuple[str, ...]) -> None:
    assert ANONYMOUS == Identity(CALLERS).of(sends(*values), never)
    with pytest.raises(Rejected, match="authorization: Bearer"):
        Identity(CALLERS, required=True).of(sends(*values), never)


def test_header_is_ignored_where_there_are_no_tokens() -> None:
    def unread() -> Metadata:
        raise AssertionError("was read")

    assert Identity(Callers()).of(unread, never) == ANONYMOUS


@pytest.mark.parametrize(
    ("names", "caller"),
    [
        (("boiler.site.example",), "boiler"),
        (("x.example", "boiler.site.example"), "boiler"),
        (("camera-7",), "camera-7"),
        (("stranger.example",), "stranger.example"),
        (("has a space", "stranger"), "stranger"),
    ],
)
def test_certificate_names_its_caller(names: tuple[str, ...], caller: str) -> None:
    assert caller == Identity(CALLERS, required=True, certificates=True).of(sends(), shows(*names))


def test_token_counts_more_than_the_certificate_of_a_gateway() -> None:
    identity = Identity(CALLERS, certificates=True)
    assert identity.of(sends(f"Bearer {TOKEN}"), shows("boiler.site.example")) == "camera-7"


def test_certificate_without_a_usable_name_proves_nothing() -> None:
    with pytest.raises(Rejected):
        Identity(CALLERS, required=True, certificates=True).of(sends(), shows("a b", ""))
