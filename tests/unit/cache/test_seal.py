"""What was sealed in one place opens nowhere else, and with a key nothing of it can be read or guessed."""

from collections.abc import Callable

import pytest
from cache_bench import NODE_KEY
from fakes.clock import FakeClock
from hypothesis import given
from hypothesis import strategies as st

from edgeclient.cache.cipher import Cipher
from edgeclient.cache.seal import TAG_BYTES, Checksum, Seal, SealError

OTHER_KEY = bytes(range(32))


def cipher(key: bytes = NODE_KEY, purpose: str = "test", clock: FakeClock | None = None) -> Cipher:
    return Cipher(key, purpose=purpose, wall_s=(clock or FakeClock()).wall_s)


SEALS: dict[str, Callable[[], Seal]] = {"plain": Checksum, "sealed": cipher}
every_seal = pytest.mark.parametrize("make", SEALS.values(), ids=SEALS)


@every_seal
@given(body=st.binary(max_size=300), place=st.binary(max_size=40))
def test_what_was_sealed_opens_in_its_place(make: Callable[[], Seal], body: bytes, place: bytes) -> None:
    assert body == make().open(place, make().seal(place, body))


@every_seal
@given(st.data())
def test_every_flipped_bit_is_noticed(make: Callable[[], Seal], data: st.DataObject) -> None:
    sealed = bytearray(make().seal(b"place", b"the answer"))
    position = data.draw(st.integers(min_value=0, max_value=len(sealed) * 8 - 1))
    sealed[position // 8] ^= 1 << position % 8

    with pytest.raises(SealError):
        make().open(b"place", bytes(sealed))


@every_seal
def test_nothing_opens_in_another_place_or_in_part(make: Callable[[], Seal]) -> None:
    sealed = make().seal(b"place", b"the answer")

    for place, kept in ((b"elsewhere", sealed), (b"place", sealed[:-1]), (b"place", b""), (b"plac", b"e" + sealed)):
        with pytest.raises(SealError):
            make().open(place, kept)


@pytest.mark.parametrize("other", [cipher(OTHER_KEY), cipher(purpose="other"), Checksum()])
def test_another_key_opens_nothing(other: Seal) -> None:
    with pytest.raises(SealError):
        other.open(b"place", cipher().seal(b"place", b"the answer"))
    assert other.scheme != cipher().scheme
    assert other.tag(b"name") != cipher().tag(b"name")


def test_sealed_bytes_tell_nothing_and_are_never_the_same() -> None:
    one, other = (cipher().seal(b"place", b"the answer is 42") for _ in range(2))

    assert b"answer" not in one
    assert one != other


def test_days_have_keys_of_their_own_and_old_ones_open() -> None:
    clock = FakeClock()
    made = cipher(clock=clock)
    first = made.seal(b"p", b"b")
    clock.advance(86_400)
    second = made.seal(b"p", b"b")

    assert first[1:5] != second[1:5]
    assert [b"b", b"b"] == [made.open(b"p", sealed) for sealed in (first, second)]
    with pytest.raises(SealError):
        made.open(b"p", first[:1] + second[1:5] + first[5:])


def test_clock_before_the_epoch_seals_as_well() -> None:
    made = cipher(clock=FakeClock(wall_s=-5.0))

    assert b"b" == made.open(b"p", made.seal(b"p", b"b"))


@every_seal
def test_names_have_one_length_and_stay_the_same(make: Callable[[], Seal]) -> None:
    assert make().tag(b"a" * 1000) == make().tag(b"a" * 1000)
    assert TAG_BYTES == len(make().tag(b""))


def test_key_is_shown_nowhere_and_has_its_length() -> None:
    assert NODE_KEY.hex() not in repr(cipher()) + cipher().scheme
    with pytest.raises(ValueError, match="32 bytes"):
        cipher(b"short")
