"""What a connection decides before it exists."""

import json

import pytest

from edgeclient.client.channel import ChannelSettings, is_local


@pytest.mark.parametrize(
    "address",
    ["localhost:50051", "127.0.0.1:50051", "127.8.8.8:1", "[::1]:50051", "unix:/run/edge.sock", "unix-abstract:edge"],
)
def test_loopback_is_plaintext_by_default(address: str) -> None:
    assert is_local(address)
    assert ChannelSettings(address=address).is_plaintext


@pytest.mark.parametrize(
    "address", ["node:50051", "10.0.0.7:50051", "[fe80::1]:50051", "localhost.evil:1", "127.0.0.1.x:1"]
)
def test_network_is_tls_by_default(address: str) -> None:
    assert not is_local(address)
    assert not ChannelSettings(address=address).is_plaintext


def test_ca_file_means_tls_on_loopback_too() -> None:
    assert not ChannelSettings(address="localhost:1", ca_file="ca.pem").is_plaintext


def test_plaintext_can_be_told() -> None:
    assert ChannelSettings(address="node:1", plaintext=True).is_plaintext
    assert not ChannelSettings(address="localhost:1", plaintext=False).is_plaintext


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"address": ""}, "address"),
        ({"address": "a:1", "certificate_file": "c"}, "both or none"),
        ({"address": "a:1", "key_file": "k"}, "both or none"),
        ({"address": "a:1", "plaintext": True, "ca_file": "c"}, "contradicts"),
    ],
)
def test_contradictions_are_refused(settings: dict[str, str | bool], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        ChannelSettings(**settings)  # type: ignore[arg-type]  # a table of wrong arguments


def test_only_unavailable_is_retried() -> None:
    options = dict(ChannelSettings(address="a:1").options())
    policy = json.loads(str(options["grpc.service_config"]))["methodConfig"][0]["retryPolicy"]

    assert policy["retryableStatusCodes"] == ["UNAVAILABLE"]


def test_retries_can_be_off() -> None:
    options = dict(ChannelSettings(address="a:1", retries=False).options())

    assert options["grpc.enable_retries"] == 0
    assert options["grpc.service_config"] == "{}"
