"""The vault gives back what was put in, or an error: never anything else."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeclient.spool.sealing import SealError
from edgeclient.spool.vault import NONCE_BYTES, OVERHEAD_BYTES, KeyedVault

NODE_KEY = bytes(range(32))
OTHER_KEY = bytes(range(1, 33))
VAULT = KeyedVault(NODE_KEY)
WRAPPED = VAULT.new_caller_key()
KEY = VAULT.unwrap(WRAPPED)
PLACE = b"device-7/J1/request"


def test_a_vault_gives_back_what_was_put_in() -> None:
    assert b"How hot is it?" == VAULT.open(KEY, PLACE, VAULT.seal(KEY, PLACE, b"How hot is it?"))


@given(plaintext=st.binary(max_size=300), aad=st.binary(max_size=60))
def test_any_content_survives_any_place(plaintext: bytes, aad: bytes) -> None:
    sealed = VAULT.seal(KEY, aad, plaintext)

    assert plaintext == VAULT.open(KEY, aad, sealed)
    assert len(plaintext) + OVERHEAD_BYTES == len(sealed)


@given(data=st.data())
def test_no_changed_bit_is_ever_opened(data: st.DataObject) -> None:
    sealed = bytearray(VAULT.seal(KEY, PLACE, data.draw(st.binary(max_size=64))))
    bit = data.draw(st.integers(0, len(sealed) * 8 - 1))
    sealed[bit // 8] ^= 1 << bit % 8

    with pytest.raises(SealError):
        VAULT.open(KEY, PLACE, bytes(sealed))


@given(noise=st.binary(max_size=120))
def test_noise_is_never_opened(noise: bytes) -> None:
    with pytest.raises(SealError):
        VAULT.open(KEY, PLACE, noise)


def test_no_cut_or_longer_blob_is_ever_opened() -> None:
    sealed = VAULT.seal(KEY, PLACE, b"How hot is it?")

    for wrong in [*(sealed[:length] for length in range(len(sealed))), sealed + b"\x00"]:
        with pytest.raises(SealError):
            VAULT.open(KEY, PLACE, wrong)


@pytest.mark.parametrize("elsewhere", [b"device-8/J1/request", b"device-7/J2/request", b"device-7/J1/response", b""])
def test_a_blob_moved_to_another_place_is_refused(elsewhere: bytes) -> None:
    with pytest.raises(SealError):
        VAULT.open(KEY, elsewhere, VAULT.seal(KEY, PLACE, b"How hot is it?"))


def test_another_callers_key_opens_nothing() -> None:
    with pytest.raises(SealError):
        VAULT.open(VAULT.unwrap(VAULT.new_caller_key()), PLACE, VAULT.seal(KEY, PLACE, b"How hot is it?"))


def test_another_node_key_unwraps_nothing() -> None:
    with pytest.raises(SealError):
        KeyedVault(OTHER_KEY).unwrap(WRAPPED)


@given(bit=st.integers(0, len(WRAPPED) * 8 - 1))
def test_a_damaged_caller_key_is_refused(bit: int) -> None:
    damaged = bytearray(WRAPPED)
    damaged[bit // 8] ^= 1 << bit % 8

    with pytest.raises(SealError):
        VAULT.unwrap(bytes(damaged))


@pytest.mark.parametrize("wrapped", [b"", b"short", bytes(24), WRAPPED + bytes(8)])
def test_what_is_no_caller_key_is_refused(wrapped: bytes) -> None:
    with pytest.raises(SealError):
        VAULT.unwrap(wrapped)


def test_neither_a_key_nor_the_content_stands_in_what_is_stored() -> None:
    sealed = VAULT.seal(KEY, PLACE, b"How hot is it?")

    for secret in (NODE_KEY, KEY, b"How hot"):
        assert secret not in WRAPPED + sealed + VAULT.scheme.encode() + repr(VAULT).encode()


def test_the_scheme_tells_node_keys_apart_and_keeps_them_secret() -> None:
    assert KeyedVault(NODE_KEY).scheme == VAULT.scheme
    assert KeyedVault(OTHER_KEY).scheme != VAULT.scheme
    assert VAULT.scheme.startswith("xaes-256-gcm:")
    assert NODE_KEY.hex()[:8] not in VAULT.scheme


def test_a_rewrapped_caller_key_opens_the_old_content_under_the_new_node_key() -> None:
    successor = KeyedVault(OTHER_KEY)
    sealed = VAULT.seal(KEY, PLACE, b"How hot is it?")

    rewrapped = VAULT.rewrap(WRAPPED, successor)

    assert b"How hot is it?" == successor.open(successor.unwrap(rewrapped), PLACE, sealed)
    with pytest.raises(SealError):
        VAULT.unwrap(rewrapped)


@pytest.mark.parametrize(
    ("key", "aad", "expected"),
    [
        (b"\x01" * 32, b"", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"),
        (b"\x03" * 32, b"c2sp.org/XAES-256-GCM", "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"),
    ],
)
def test_the_cipher_is_the_published_one(key: bytes, aad: bytes, expected: str) -> None:
    vault = KeyedVault(NODE_KEY, random=_known)

    sealed = vault.seal(key, aad, b"XAES-256-GCM")

    assert expected == sealed[1 + NONCE_BYTES :].hex()


def test_the_same_text_never_looks_the_same() -> None:
    assert VAULT.seal(KEY, PLACE, b"yes") != VAULT.seal(KEY, PLACE, b"yes")


def test_a_node_key_of_another_length_is_a_defect() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        KeyedVault(bytes(16))


def _known(count: int) -> bytes:
    letters: Iterator[int] = iter(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    return bytes(next(letters) for _ in range(count))
