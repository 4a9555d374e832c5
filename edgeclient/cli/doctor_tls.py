"""Judges TLS and what is spoken inside it: facts in, sentences out.

A certificate that is out of its time is, on an edge node, more often a wrong clock than a wrong certificate: boxes
without a battery wake up in 1970. So the clock of the node stands in these sentences, and whether anybody keeps it.
"""

from datetime import datetime

from edgeclient.cli.doctor_connect import Certificate, Handshake
from edgeclient.cli.doctor_verdict import Verdict, failing, fine, span, warning

_SOON_DAYS = 7


def judge_handshake(
    found: Handshake, *, peer: str, ca_file: str, now: datetime, clock_kept: bool | None, through: str = ""
) -> Verdict:
    """Whether TLS works.

    Args:
        found: What a handshake gave.
        peer: Host and port of the provider.
        ca_file: Value of upstream.ca_file.
        now: The time by this node's clock, UTC.
        clock_kept: Somebody synchronises the clock; None: unknown.
        through: Host and port of the proxy; "" if there is none.
    """
    if found.problem in ("expired", "not_yet_valid"):
        return _out_of_time(found, peer=peer, now=now, clock_kept=clock_kept)
    if found.problem in ("wrong_host", "unknown_ca", "refused_certificate"):
        return _not_trusted(found, peer=peer, ca_file=ca_file)
    if found.problem == "proxy":
        return _proxy(found, peer=peer, through=through)
    if found.problem:
        return _no_handshake(found, peer=peer)
    shown = _words(found.certificate)
    line = f"{found.version}, {shown} ({span(found.duration_s)})"
    days = (found.certificate.not_after - now).days if found.certificate else _SOON_DAYS
    if days < _SOON_DAYS:
        return warning(
            line,
            means=f"the certificate of {peer} ends in {days} days; providers renew earlier",
            do=["is something in between, such as a company's proxy? tell whoever runs it"],
        )
    return fine(line)


def _out_of_time(found: Handshake, *, peer: str, now: datetime, clock_kept: bool | None) -> Verdict:
    expired = found.problem == "expired"
    certificate = found.certificate
    bound = certificate and (certificate.not_after if expired else certificate.not_before)
    verb = "ended" if expired else "begins"
    limits = f"{_words(certificate)}, {verb} {_time(bound)}" if bound else found.detail
    unkept = "; nobody synchronises the clock of this node" if clock_kept is False else ""
    return failing(
        f"the certificate of {peer} {'has expired' if expired else 'is not yet valid'}",
        seen=f"{limits}; this node's clock says {_time(now)}{unkept}",
        means="either the clock of this node is wrong, which is the rule, or the certificate really is",
        do=[
            f"is the node's clock right? it says {_time(now)}; if not, set it and start an NTP service",
            f"if it is right: tell whoever runs {peer}",
        ],
    )


def _not_trusted(found: Handshake, *, peer: str, ca_file: str) -> Verdict:
    certificate = found.certificate
    seen = f"{_words(certificate)} ({found.detail})" if certificate else found.detail
    if found.problem == "wrong_host":
        names = ", ".join(certificate.names[:3]) if certificate and certificate.names else "another host"
        return failing(
            f"the certificate of {peer} is for {names}",
            seen=seen,
            means="something else answers: the sign-in page of a network, an interceptor, or base_url names it wrongly",
            do=[
                "does the network want a sign-in? open a page in a browser that is connected to it",
                "check the host in upstream.base_url",
            ],
        )
    if found.problem == "unknown_ca":
        set_it = (
            f"upstream.ca_file is {ca_file}: is it the CA of this issuer, in PEM form?"
            if ca_file
            else "if that is right (a private endpoint, a company's proxy): set upstream.ca_file to that CA in PEM form"
        )
        return failing(
            f"the certificate of {peer} comes from a CA that this node does not trust",
            seen=seen,
            means="something in between opens TLS (a firewall, a sign-in page), or the endpoint has a private CA",
            do=[set_it, "does the issuer above have nothing to do with the provider? ask whoever runs the network"],
        )
    return failing(
        f"the certificate of {peer} is not acceptable",
        seen=seen,
        means="it is broken or not made for this use",
        do=[f"tell whoever runs {peer}"],
    )


def _proxy(found: Handshake, *, peer: str, through: str) -> Verdict:
    wants_user = " 407" in found.detail
    return failing(
        f"the proxy {through} wants a user and a password" if wants_user else f"the proxy {through} refuses {peer}",
        seen=found.detail,
        means="it wants to know who you are" if wants_user else "it does not permit this host, or cannot reach it",
        do=[
            'set HTTPS_PROXY to http://user:password@host:port and leave upstream.proxy = "environment"'
            if wants_user
            else f"ask whoever runs the proxy to permit CONNECT to {peer}, or set upstream.proxy"
        ],
    )


def _no_handshake(found: Handshake, *, peer: str) -> Verdict:
    if found.problem == "not_tls":
        return failing(
            f"{peer} does not speak TLS",
            seen=found.detail,
            means="the port is one without TLS, or the sign-in page of a network answers",
            do=[
                "check scheme and port of upstream.base_url",
                "does the network want a sign-in? open a page in a browser that is connected to it",
            ],
        )
    silent = found.problem == "silent"
    return failing(
        f"{peer} takes the connection and then {'says nothing' if silent else 'breaks it off'}",
        seen=found.detail or f"nothing in {span(found.duration_s)}",
        means="what listens there is stuck or overloaded, or a firewall lets TCP through and TLS not",
        do=[
            "try from another network; if it works there, ask whoever runs this one about filters for TLS",
            "large packets lost? try a smaller MTU (ip link set dev eth0 mtu 1400)",
        ],
    )


def judge_alpn(found: Handshake, *, peer: str, http1: bool) -> Verdict:
    """Whether the peer speaks HTTP/2. `http1`: the setting permits to do without."""
    if found.alpn == "h2":
        return fine(f"{peer} speaks HTTP/2")
    spoken = found.alpn or "no protocol by name"
    if http1:
        return warning(
            f"{peer} speaks {spoken}, which upstream.http1 permits",
            means="each call in progress needs a connection of its own; the provider's own hosts speak HTTP/2",
            do=["nothing, if it is a relay; else see who answers instead of the provider"],
        )
    return failing(
        f"{peer} does not speak HTTP/2",
        seen=f"offered h2 and http/1.1, it chose {found.alpn or 'none'}",
        means="it is a relay or a proxy that opens TLS; the provider's own hosts speak HTTP/2",
        do=["set upstream.http1 = true if this endpoint is meant", "else check upstream.base_url"],
    )


def _words(certificate: Certificate | None) -> str:
    if certificate is None:
        return "no certificate was shown"
    until = certificate.not_after.strftime("%Y-%m-%d")
    return f"certificate {certificate.subject} from {certificate.issuer}, until {until}"


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M UTC")
