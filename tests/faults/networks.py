"""A small internet of network namespaces: a site, a node at it, a way with a router, and the cloud behind it.

    here ──lan── node ──wan── way ── cloud          the daemon runs in `node`, the simulated cloud in `cloud`

The site's network stays up whatever happens to the uplink, so devices can always be told. Packets are lost by routes
that swallow them, which needs no packet filter; the name of the cloud is resolved by a small DNS server on the router
that can be silenced or slowed. Needs root and `ip`; where they are missing, `missing()` says so.
"""

import asyncio
import ctypes
import os
import secrets
import shutil
import socket
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self

NAME: Final = "cloud.test"
LAN: Final = ("10.213.1.1", "10.213.1.2")
WAN: Final = ("10.213.2.1", "10.213.2.2")
MOVED: Final = "10.213.2.77"
CLOUD: Final = "10.213.3.2"
CLOUD_6: Final = "fd00:213:3::2"
_GATEWAY: Final = "10.213.3.1"
_WAN_6: Final = ("fd00:213:2::1", "fd00:213:2::2")
_GATEWAY_6: Final = "fd00:213:3::1"
_CLONE_NEWNET: Final = 0x40000000
_DNS_PORT: Final = 53
_A, _AAAA = 1, 28


def missing() -> str:
    """Why there can be no namespaces here; "" if there can."""
    if shutil.which("ip") is None:
        return "needs the command ip"
    if os.geteuid() != 0:
        return "needs root"
    name = f"probe-{secrets.token_hex(3)}"
    if subprocess.run(["ip", "netns", "add", name], check=False, capture_output=True).returncode:
        return "needs the right to make network namespaces"
    veth = ["ip", "-n", name, "link", "add", "near", "type", "veth", "peer", "name", "far"]
    works = not subprocess.run(veth, check=False, capture_output=True).returncode
    subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
    return "" if works else "needs veth devices"


class Networks:
    """`async with Networks() as networks`; everything is taken down at the end.

    Attributes:
        node, way, cloud: Names of the namespaces.
        dns: The server that knows the name of the cloud.
    """

    def __init__(self) -> None:
        tag = secrets.token_hex(2)
        self.node, self.way, self.cloud = (f"ec-{tag}-{part}" for part in ("node", "way", "cloud"))
        self._lan = f"ec{tag}"
        self._etc = Path("/etc/netns") / self.node
        self._made_etc = not self._etc.parent.exists()
        self.dns = Names()

    async def __aenter__(self) -> Self:
        try:
            self._build()
            with self.inside(self.way):
                await self.dns.start(WAN[0])
        except BaseException:
            self._tear_down()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.dns.stop()
        self._tear_down()

    @contextmanager
    def inside(self, name: str) -> Iterator[None]:
        """Sockets that are made in this block belong to the namespace."""
        with Path("/proc/self/ns/net").open() as here, Path(f"/run/netns/{name}").open() as there:
            _enter(there.fileno())
            try:
                yield
            finally:
                _enter(here.fileno())

    @property
    def exec_in_node(self) -> tuple[str, ...]:
        """Begins a command that runs at the node."""
        return ("ip", "netns", "exec", self.node)

    # what happens to the way

    def black_hole(self, *, on: bool) -> None:
        """Packets to and from the cloud vanish."""
        verb = "add" if on else "del"
        self._ip("-n", self.way, "route", verb, "blackhole", f"{CLOUD}/32")
        self._ip("-n", self.way, "route", verb, "blackhole", f"{WAN[1]}/32")

    def black_hole_6(self, *, on: bool) -> None:
        """The same for IPv6."""
        self._ip("-n", self.way, "-6", "route", "add" if on else "del", "blackhole", f"{CLOUD_6}/128")

    def link(self, *, up: bool) -> None:
        """Pull the plug of the node's uplink, or put it in."""
        self._ip("-n", self.node, "link", "set", "wan0", "up" if up else "down")
        if up:  # the kernel has forgotten the IPv6 address and the routes
            self._ip("-n", self.node, "addr", "replace", f"{_WAN_6[1]}/64", "dev", "wan0", "nodad")
            self._default_route()

    def move(self, before: str, after: str) -> None:
        """The node gets another address; the old one is nobody's."""
        self._ip("-n", self.node, "addr", "del", f"{before}/24", "dev", "wan0")
        self._ip("-n", self.node, "addr", "add", f"{after}/24", "dev", "wan0")
        self._default_route()

    def connections(self) -> set[str]:
        """TCP connections from the node to the cloud that stand, by their near ends."""
        done = subprocess.run([*self.exec_in_node, "cat", "/proc/net/tcp"], check=True, capture_output=True, text=True)
        peer = "".join(f"{byte:02X}" for byte in reversed(socket.inet_aton(CLOUD)))
        rows = [line.split() for line in done.stdout.splitlines()[1:]]
        return {row[1] for row in rows if row[2].startswith(peer) and row[3] == "01"}

    def _build(self) -> None:
        self._etc.mkdir(parents=True)
        (self._etc / "resolv.conf").write_text(f"nameserver {WAN[0]}\n")
        for name in (self.node, self.way, self.cloud):
            self._ip("netns", "add", name)
            self._ip("-n", name, "link", "set", "lo", "up")
        self._ip("link", "add", self._lan, "type", "veth", "peer", "name", "lan0", "netns", self.node)
        self._ip("addr", "add", f"{LAN[0]}/24", "dev", self._lan)
        self._ip("link", "set", self._lan, "up")
        self._ip("-n", self.way, "link", "add", "near", "type", "veth", "peer", "name", "wan0", "netns", self.node)
        self._ip("-n", self.way, "link", "add", "far", "type", "veth", "peer", "name", "net0", "netns", self.cloud)
        for name, device, four, six in (
            (self.node, "lan0", LAN[1], ""),
            (self.node, "wan0", WAN[1], _WAN_6[1]),
            (self.way, "near", WAN[0], _WAN_6[0]),
            (self.way, "far", _GATEWAY, _GATEWAY_6),
            (self.cloud, "net0", CLOUD, CLOUD_6),
        ):
            self._ip("-n", name, "addr", "add", f"{four}/24", "dev", device)
            if six:
                self._ip("-n", name, "addr", "add", f"{six}/64", "dev", device, "nodad")
            self._ip("-n", name, "link", "set", device, "up")
        for knob in ("net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"):
            self._run("ip", "netns", "exec", self.way, "sh", "-c", f"echo 1 > /proc/sys/{knob}")
        self._default_route()
        self._ip("-n", self.cloud, "route", "add", "default", "via", _GATEWAY)
        self._ip("-n", self.cloud, "-6", "route", "add", "default", "via", _GATEWAY_6)

    def _default_route(self) -> None:
        self._ip("-n", self.node, "route", "replace", "default", "via", WAN[0])
        self._ip("-n", self.node, "-6", "route", "replace", "default", "via", _WAN_6[0], "dev", "wan0")

    def _tear_down(self) -> None:
        for name in (self.node, self.way, self.cloud):
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
        subprocess.run(["ip", "link", "del", self._lan], check=False, capture_output=True)
        shutil.rmtree(self._etc.parent if self._made_etc else self._etc, ignore_errors=True)

    def _ip(self, *arguments: str) -> None:
        self._run("ip", *arguments)

    @staticmethod
    def _run(*command: str) -> None:
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")


def _enter(descriptor: int) -> None:
    if ctypes.CDLL(None, use_errno=True).setns(descriptor, _CLONE_NEWNET):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


class Names(asyncio.DatagramProtocol):
    """A DNS server that knows one name.

    Attributes:
        addresses: IPv4 addresses of the cloud.
        addresses_6: IPv6 addresses.
        silent: It hears and says nothing.
        delay_s: It thinks for so long.
        asked: Questions so far.
    """

    def __init__(self) -> None:
        self.addresses: list[str] = [CLOUD]
        self.addresses_6: list[str] = []
        self.silent = False
        self.delay_s = 0.0
        self.asked = 0
        self._transport: asyncio.DatagramTransport | None = None

    async def start(self, host: str) -> None:
        """Listen."""
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=(host, _DNS_PORT))

    def stop(self) -> None:
        """Listen no more."""
        if self._transport is not None:
            self._transport.close()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer, or not."""
        self.asked += 1
        if not self.silent:
            asyncio.get_running_loop().call_later(self.delay_s, self._answer, data, addr)

    def _answer(self, data: bytes, addr: tuple[str, int]) -> None:
        transport = self._transport
        if transport is not None and not transport.is_closing():
            transport.sendto(self._reply(data), addr)

    def _reply(self, data: bytes) -> bytes:
        end = data.index(0, 12) + 5
        name, kind = _labels(data[12 : end - 4]), struct.unpack(">H", data[end - 4 : end - 2])[0]
        known = name == NAME
        found = {_A: self.addresses, _AAAA: self.addresses_6}.get(kind, []) if known else []
        family = socket.AF_INET if kind == _A else socket.AF_INET6
        rows = [socket.inet_pton(family, address) for address in found]
        head = data[:2] + struct.pack(">HHHHH", 0x8180 if known else 0x8183, 1, len(rows), 0, 0)
        answers = [struct.pack(">HHHIH", 0xC00C, kind, 1, 1, len(row)) + row for row in rows]
        return head + data[12:end] + b"".join(answers)


def _labels(data: bytes) -> str:
    labels, at = [], 0
    while data[at]:
        labels.append(data[at + 1 : at + 1 + data[at]].decode("ascii"))
        at += 1 + data[at]
    return ".".join(labels)
