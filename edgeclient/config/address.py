"""Addresses to listen on: what is one, who can reach it, and when two of them collide."""

from ipaddress import ip_address

_LARGEST_PORT = 65535
_UNIX = "unix:"
_ANY = frozenset({"0.0.0.0", "::"})


def is_address(listen: str) -> bool:
    """It is a host with a port, an IPv6 host in brackets, or the path of a Unix socket."""
    if listen.startswith(_UNIX):
        return len(listen) > len(_UNIX)
    host, _, port = listen.rpartition(":")
    in_brackets = host.startswith("[") and host.endswith("]")
    return (
        bool(host.strip("[]"))
        and (in_brackets or ":" not in host)
        and not any(character.isspace() for character in host)
        and port.isascii()
        and port.isdigit()
        and int(port) <= _LARGEST_PORT
    )


def is_loopback(listen: str) -> bool:
    """Only this machine can reach the address."""
    host = listen.rpartition(":")[0].strip("[]")
    if host == "localhost" or listen.startswith(_UNIX):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def why_unbound(listen: str) -> str:
    """Why it cannot be bound, as far as that can be told, for the end of a sentence."""
    if listen.startswith(_UNIX):
        folder = listen.removeprefix(_UNIX).rpartition("/")[0] or "."
        return f"cannot be bound; {folder} has to be a folder in which this user may make a socket"
    return "cannot be bound; another process has it, or it is no address of this node"


def collide(one: str, other: str) -> bool:
    """Two listeners cannot have these addresses at the same time."""
    if one.startswith(_UNIX) or other.startswith(_UNIX):
        return one == other
    hosts = {address.rpartition(":")[0].strip("[]") for address in (one, other)}
    ports = {int(address.rpartition(":")[2]) for address in (one, other)}
    return len(ports) == 1 and ports != {0} and (len(hosts) == 1 or bool(hosts & _ANY))
