import pytest

from edgeclient.config.address import collide, is_address, is_loopback


@pytest.mark.parametrize(
    "listen", ["0.0.0.0:50051", "[::]:50051", "localhost:0", "edge-7.lan:65535", "unix:/run/e.sock"]
)
def test_address_is_a_host_with_a_port(listen: str) -> None:
    assert is_address(listen)


@pytest.mark.parametrize(
    "listen",
    ["", ":50051", "0.0.0.0", "0.0.0.0:", "0.0.0.0:x", "h:65536", "h:-1", "::1:50051", "[]:1", "a b:1", "unix:", "h:٣"],
)
def test_anything_else_is_no_address(listen: str) -> None:
    assert not is_address(listen)


@pytest.mark.parametrize("listen", ["127.0.0.1:1", "127.8.8.8:1", "[::1]:1", "localhost:1", "unix:/run/e.sock"])
def test_loopback_is_reached_from_this_machine_only(listen: str) -> None:
    assert is_loopback(listen)


@pytest.mark.parametrize("listen", ["0.0.0.0:1", "[::]:1", "192.168.1.2:1", "edge-7.lan:1", ""])
def test_other_addresses_are_no_loopback(listen: str) -> None:
    assert not is_loopback(listen)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("127.0.0.1:1", "127.0.0.1:1", True),
        ("0.0.0.0:1", "127.0.0.1:1", True),
        ("[::]:1", "127.0.0.1:1", True),
        ("127.0.0.1:1", "127.0.0.2:1", False),
        ("127.0.0.1:1", "127.0.0.1:2", False),
        ("127.0.0.1:0", "127.0.0.1:0", False),
        ("unix:/a", "unix:/a", True),
        ("unix:/a", "unix:/b", False),
        ("unix:/a", "0.0.0.0:1", False),
    ],
)
def test_two_listeners_collide_on_one_port_of_one_host(one: str, other: str, *, expected: bool) -> None:
    assert expected is collide(one, other)
    assert expected is collide(other, one)
