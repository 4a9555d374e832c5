"""Judges the box itself and the daemon on it: ports, certificate, user, state. Facts in, sentences out."""

from dataclasses import dataclass
from datetime import UTC, datetime

from edgeclient import __version__
from edgeclient.cli.doctor_daemon import DaemonFacts
from edgeclient.cli.doctor_port import CertificateFacts, PortFacts
from edgeclient.cli.doctor_verdict import Verdict, failing, fine, skipped, warning
from edgeclient.v1 import node_pb2

_SOON_DAYS = 14
_ROOT = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class UserFacts:
    """Who runs this command.

    Attributes:
        uid: Effective user id.
        owner_uid: Who owns the folder of the queue; None: there is none.
        is_root_read_only: The root file system cannot be written, by anybody.
    """

    uid: int
    owner_uid: int | None
    is_root_read_only: bool


def judge_user(facts: UserFacts) -> Verdict:
    """Whether what this command may is what the daemon may."""
    root = "; the root file system is read-only, which is fine" if facts.is_root_read_only else ""
    line = f"uid {facts.uid}{root}"
    if facts.owner_uid is not None and facts.owner_uid != facts.uid:
        return warning(
            f"{line}; spool.directory belongs to uid {facts.owner_uid}",
            means="this command may read other files than the daemon may, so its answers may differ",
            do=[f"run it as the user of the daemon (setpriv --reuid {facts.owner_uid}, or runAsUser)"],
        )
    return fine(line)


def judge_port(facts: PortFacts, daemon: DaemonFacts, *, setting: str, holder: str) -> Verdict:
    """Whether the daemon can listen, or does. `holder`: pid of who has the queue, "" if nobody has."""
    line = f"{setting} {facts.listen}"
    if facts.outcome == "free":
        return fine(f"{line} is free")
    if facts.outcome == "taken":
        if daemon.answers:
            return fine(f"{line} is taken by our daemon")
        if holder:
            return fine(f"{line} is taken, by the daemon that has the queue (pid {holder}) as it seems")
        return failing(
            f"{line} is taken, and not by a daemon of ours",
            seen="something accepts connections there and does not answer as edgeclient does",
            means="the daemon cannot start",
            do=[f"find out who it is (ss -ltnp, netstat -ltnp) and end it, or set another {setting}"],
        )
    causes = {
        "denied": ("this user may not listen there", "take a port above 1023, or give CAP_NET_BIND_SERVICE"),
        "absent": ("it is no address of this box", "take 0.0.0.0 or [::], or an address that `ip address` shows"),
    }
    means, cure = causes.get(facts.outcome, ("the system refuses it", "see what the system says"))
    return failing(
        f"{line} cannot be listened on", seen=facts.detail, means=f"{means}: the daemon cannot start", do=[cure]
    )


def judge_certificate(facts: CertificateFacts, *, now: datetime) -> Verdict:
    """Whether devices will accept the port's certificate."""
    if facts.problem or facts.not_after is None:
        return failing(
            "the certificate of the port cannot be used",
            seen=facts.problem,
            means="a daemon that starts refuses to; one that runs goes on with what it has",
            do=["give both files in PEM form, of one pair, readable for the user of the daemon"],
        )
    days = (facts.not_after - now).total_seconds() / 86400
    line = f"{facts.subject}, until {facts.not_after:%Y-%m-%d}"
    if days < 0:
        return failing(
            f"{line}: it has expired",
            seen=f"this node's clock says {now:%Y-%m-%d %H:%M UTC}",
            means="devices refuse to connect",
            do=["renew it; the daemon takes the new files without a restart", "is the node's clock right?"],
        )
    if days < _SOON_DAYS:
        return warning(
            f"{line}, {days:.0f} days",
            means="devices refuse to connect after that",
            do=["renew it; the daemon takes the new files without a restart"],
        )
    return fine(f"{line}, {days:.0f} days; the key fits")


def judge_daemon(facts: DaemonFacts, *, listen: str, holder: str) -> Verdict:
    """How the daemon is."""
    if not facts.answers:
        if holder:
            return failing(
                f"pid {holder} has the queue, and no daemon answers at {listen}",
                means="it hangs, is starting or ending, or runs with another ingress.listen",
                do=["look at its log", "give this command the configuration of the daemon (--config, environment)"],
            )
        return skipped(f"no daemon runs at {listen}")
    unready = "; ".join(facts.unready or ())
    if facts.status is None:
        return _untold(facts, unready)
    status = facts.status
    state = node_pb2.UplinkState.Name(status.uplink).removeprefix("UPLINK_STATE_").lower()
    if status.uplink == node_pb2.UPLINK_STATE_UNSPECIFIED:
        state = "not known yet"
    since = status.uplink_change_time.ToDatetime(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    jobs = f"{status.active_call_count} calls, {status.pending_job_count} jobs waiting"
    line = f"{status.node_id}, version {status.version}: uplink {state} since {since}; {jobs}"
    if status.version != __version__:
        return warning(
            line,
            seen=f"this command is version {__version__}",
            means="the daemon was started before the last update, or this is another installation",
            do=["restart the daemon"],
        )
    if status.uplink in (node_pb2.UPLINK_STATE_OFFLINE, node_pb2.UPLINK_STATE_DEGRADED):
        return warning(
            line,
            seen=unready,
            means="the daemon does not reach the provider well; if the checks above are fine, its environment differs",
            do=["compare the daemon's HTTPS_PROXY, NO_PROXY, key and configuration with those of this shell"],
        )
    return _unready(line, unready) if unready else fine(line)


def _untold(facts: DaemonFacts, unready: str) -> Verdict:
    if facts.is_guarded:
        line = f"a daemon answers and does not tell strangers about itself ({facts.refusal})"
        return _unready(line, unready) if unready else fine(line)
    return warning(
        f"a daemon answers at its admin port, and not at its port for devices ({facts.refusal})",
        seen=unready,
        means="it is starting, ending, or broken",
        do=["try again in a minute, then look at its log"],
    )


def _unready(line: str, unready: str) -> Verdict:
    return warning(
        line, seen=unready, means="the daemon says that it is not ready", do=["see the checks above, and its log"]
    )
