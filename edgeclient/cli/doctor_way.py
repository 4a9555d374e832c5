"""Judges the way to the provider up to TCP: facts in, sentences out; nothing is asked here."""

from collections.abc import Sequence

from edgeclient.cli.doctor_connect import Dial
from edgeclient.cli.doctor_lookup import SLOW_S, Lookup
from edgeclient.cli.doctor_verdict import Verdict, failing, fine, span, warning

_MOST_SHOWN = 4


def judge_lookup(found: Lookup, *, of_proxy: bool) -> Verdict:
    """Whether a name can be resolved, and how fast."""
    host = f"the proxy {found.host}" if of_proxy else found.host
    if found.is_literal:
        return fine(f"{host} is an address, nothing to resolve")
    seen = _resolvers(found)
    if found.problem == "unknown":
        whose = "the URL of the proxy" if of_proxy else "upstream.base_url"
        return failing(
            f"there is no name {found.host}",
            seen=seen,
            means="the name is misspelt, or the resolver of this network hides it",
            do=[f"check the host in {whose}", "try another resolver in /etc/resolv.conf, such as the router's"],
        )
    if found.problem:
        return failing(
            f"{host} cannot be resolved: no resolver answers",
            seen=seen,
            means="this node has no connection, or its resolvers are wrong or dead",
            do=[
                "check the link: cable, Wi-Fi, SIM; has the node an address and a route (ip address, ip route)?",
                "check nameserver in /etc/resolv.conf; a firewall has to let UDP and TCP port 53 through",
            ],
        )
    line = f"{host} is {_shown(found.addresses)}"
    if found.duration_s > SLOW_S:
        return warning(
            f"{line}, but the look-up took {span(found.duration_s)}",
            seen=seen,
            means="every new connection waits for it; as a rule the first resolver is dead and the second one works",
            do=["take the resolver that does not answer out of /etc/resolv.conf (DHCP may have put it there)"],
        )
    return fine(f"{line} ({span(found.duration_s)})")


def _shown(addresses: Sequence[str]) -> str:
    v4 = [address for address in addresses if ":" not in address]
    v6 = [address for address in addresses if ":" in address]
    parts = [_some(v4)] if v4 else ["no IPv4"]
    return ", ".join([*parts, _some(v6) if v6 else "no IPv6"])


def _some(addresses: Sequence[str]) -> str:
    more = len(addresses) - _MOST_SHOWN
    return ", ".join(addresses[:_MOST_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _resolvers(found: Lookup) -> str:
    if not found.resolvers:
        return "/etc/resolv.conf names no resolver" if found.problem else ""
    return "; ".join(f"resolver {each.address} {each.outcome} ({span(each.duration_s)})" for each in found.resolvers)


def judge_dials(dials: Sequence[Dial], *, end: str, of_proxy: bool) -> Verdict:
    """Whether the addresses can be connected to. `end` is the host and port that they belong to."""
    good = [dial for dial in dials if dial.outcome == "connected"]
    seen = "; ".join(_dial(dial) for dial in dials)
    if not good:
        return _unconnected(dials, end=end, seen=seen, of_proxy=of_proxy)
    bad = [dial for dial in dials if dial.outcome != "connected"]
    line = f"{end} connects: {', '.join(_dial(dial) for dial in good[:_MOST_SHOWN])}"
    if any(":" in dial.address and dial.outcome == "silent" for dial in bad) and any(
        ":" not in dial.address for dial in good
    ):
        return warning(
            f"{line}; IPv6 is a black hole",
            seen=seen,
            means="this node has an IPv6 route that swallows packets: connecting is slow whenever IPv6 is tried first",
            do=["mend IPv6 on the router, or switch it off on this node (sysctl net.ipv6.conf.all.disable_ipv6=1)"],
        )
    if not [dial for dial in bad if dial.outcome != "unreachable"]:
        unused = "; no route to the IPv6 addresses, which does no harm" if bad else ""
        return fine(line + unused)
    return warning(
        f"{line}, {len(bad)} of {len(dials)} addresses do not",
        seen=seen,
        means="it works with the others; a connection that tries these first is slow",
        do=["if it lasts, tell whoever runs the network, or the provider"],
    )


def _dial(dial: Dial) -> str:
    if dial.outcome == "connected":
        return f"{dial.address} in {span(dial.duration_s)}"
    words = {"refused": "refuses", "silent": f"silent for {span(dial.duration_s)}", "unreachable": "no route"}
    return f"{dial.address} {words.get(dial.outcome, dial.detail)}"


def _unconnected(dials: Sequence[Dial], *, end: str, seen: str, of_proxy: bool) -> Verdict:
    outcomes = {dial.outcome for dial in dials}
    setting = "upstream.proxy or HTTPS_PROXY" if of_proxy else "upstream.base_url"
    if "silent" in outcomes:
        return failing(
            f"{end} does not answer",
            seen=seen,
            means="packets get lost on the way: a firewall drops them, or the connection of this node is dead",
            do=[
                f"ask whoever runs the network to permit TCP to {end}",
                "if the network wants a proxy: set HTTPS_PROXY or upstream.proxy",
            ],
        )
    if "refused" in outcomes:
        return failing(
            f"{end} refuses connections",
            seen=seen,
            means="the machine is there and nothing listens on this port, or a firewall says no",
            do=[f"check host and port in {setting}", "is what should listen there running?"],
        )
    return failing(
        f"there is no way to {end}",
        seen=seen,
        means="this node has no route: it is not connected, or has no default gateway",
        do=["check the link: cable, Wi-Fi, SIM", "check the route (ip route): is there a default one?"],
    )
