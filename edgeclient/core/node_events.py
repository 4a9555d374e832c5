"""Facts about the life of the node; see `events.py` for what a fact is."""

from dataclasses import dataclass

from edgeclient.core.events import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStarted(Event):
    """The node takes calls.

    Attributes:
        version: Version of the software.
        node_id: Name of the node.
        listen: Address of the port for devices as bound.
        tls: The port for devices speaks TLS.
        admin: Address of the admin port as bound; "" if there is none.
        upstream: Host that requests go to.
        startup_s: Time from the start of the process to this moment.
    """

    version: str
    node_id: str
    listen: str
    tls: bool
    admin: str
    upstream: str
    startup_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeDraining(Event):
    """The node was told to stop: no new calls, running ones are finished.

    Attributes:
        signal: Name of the signal, such as SIGTERM.
        active_call_count: Calls that are still running.
        grace_s: How long they may take.
    """

    signal: str
    active_call_count: int
    grace_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStopped(Event):
    """The node has stopped.

    Attributes:
        drained: Every running call was finished in time.
        duration_s: Time from the signal to this moment.
    """

    drained: bool
    duration_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigReloaded(Event):
    """The configuration was read again while running, and is right.

    Attributes:
        path: The configuration file.
        applied: Paths of the settings that have changed and took effect, with commas between; "" if there is none.
        waiting: Paths of the settings that differ from those in force and want a restart, likewise.
        digest: Tells what is in force from other configurations.
    """

    path: str
    applied: str
    waiting: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigRejected(Event):
    """The configuration was read again while running, and is wrong; nothing has changed.

    Attributes:
        path: The configuration file.
        problems: What is wrong and what would be right, one after the other.
    """

    path: str
    problems: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateChanged(Event):
    """The certificate of the port for devices was replaced while running.

    Attributes:
        path: The certificate file.
    """

    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateUnreadable(Event):
    """A new certificate could not be used; the last good one stays in use.

    Attributes:
        path: The certificate file.
        problem: What is wrong and what would be right.
    """

    path: str
    problem: str
