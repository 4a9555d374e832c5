"""The table from events to log lines: how important, which word, which sentence.

The rule is: log changes, count traffic. A call that was answered has no line above `debug`; a call that failed by its
caller's making, or that a rule refused, has none either, for a device with a wrong program must not fill the disk. A
call that failed by the provider's or by our own fault has one at `warning`, the same kind at most once per interval.

The word is for machines and never changes; the sentence is for people and may. Every event has a row, if only to say
that it has no line; a test sees to it.
"""

from typing import Final

from edgeclient.core.events import (
    AttemptFinished,
    CallFinished,
    CallShed,
    DefectFound,
    Event,
    KeyChanged,
    KeyRefused,
    KeyUnreadable,
    ProtocolNegotiated,
    RetryScheduled,
    RpcFinished,
    Uplink,
    UplinkChanged,
)
from edgeclient.core.job_events import (
    JobFinished,
    JobStarted,
    OperatorDoorClosed,
    SpoolDamaged,
    SpoolFailed,
    SpoolFellBack,
    SpoolPaused,
    SpoolRecovered,
    SpoolResumed,
)
from edgeclient.core.node_events import (
    CertificateChanged,
    CertificateUnreadable,
    ConfigRejected,
    ConfigReloaded,
    NodeDraining,
    NodeStarted,
    NodeStopped,
)
from edgeclient.telemetry.cache_lines import CACHE_LINES
from edgeclient.telemetry.dispatch_lines import DISPATCH_LINES
from edgeclient.telemetry.faults import GATEWAY, PROVIDER, fault_domain
from edgeclient.telemetry.half_price_lines import HALF_PRICE_LINES
from edgeclient.telemetry.line import Choice, Line
from edgeclient.telemetry.quota_lines import QUOTA_LINES
from edgeclient.telemetry.route_lines import ROUTE_LINES

CALL_ANSWERED: Final = Line(
    level="debug", word="call_answered", sentence="{method} answered by {model} in {duration_s:.3f} s"
)
CALL_REFUSED: Final = Line(level="debug", word="call_failed", sentence="{method} failed with {reason}: {message}")
CALL_FAILED: Final = Line(
    level="warning",
    word="call_failed",
    sentence="{method} failed with {reason}: {message}",
    once_per=("reason", "target"),
)
ATTEMPT_FAILED: Final = Line(
    level="debug", word="attempt_failed", sentence="Attempt at {target} failed with {reason}, HTTP status {http_status}"
)
UPLINK_UP: Final = Line(
    level="info", word="uplink_changed", sentence="Uplink {target} is {after}, it was {before} ({cause})"
)
UPLINK_DOWN: Final = Line(
    level="warning", word="uplink_changed", sentence="Uplink {target} is {after}, it was {before} ({cause})"
)
STOPPED: Final = Line(
    level="info", word="node_stopped", sentence="Stopped after {duration_s:.1f} s, every call was finished"
)
STOPPED_HARD: Final = Line(
    level="warning", word="node_stopped", sentence="Stopped after {duration_s:.1f} s, running calls were cut"
)
JOB_ENDED: Final = Line(
    level="debug", word="job_finished", sentence="Job {job_id} is {state} {age_s:.1f} s after it was accepted"
)
PAUSED: Final = Line(level="error", word="spool_paused", sentence="Stored jobs are not sent for now: {problem}")
MODEL_PAUSED: Final = Line(
    level="error", word="spool_paused", sentence="Stored jobs for {model} are not sent for now, others are: {problem}"
)
RESUMED: Final = Line(
    level="info", word="spool_resumed", sentence="Stored jobs are sent again after {duration_s:.0f} s ({cause})"
)
MODEL_RESUMED: Final = Line(
    level="info",
    word="spool_resumed",
    sentence="Stored jobs for {model} are sent again after {duration_s:.0f} s ({cause})",
)
JOB_LOST: Final = Line(
    level="warning",
    word="job_finished",
    sentence="Job {job_id} is {state} after {attempt_count} attempts: {reason}",
    once_per=("state", "reason"),
)


RELOADED: Final = Line(
    level="info",
    word="config_reloaded",
    sentence="The configuration was read again from {path}; took effect: {applied}",
)
RELOADED_IN_PART: Final = Line(
    level="warning",
    word="config_reloaded",
    sentence="The configuration was read again from {path}; took effect: {applied}; wants a restart: {waiting}",
)
WANTS_RESTART: Final = Line(
    level="warning",
    word="config_reloaded",
    sentence="The configuration was read again from {path}; nothing took effect; wants a restart: {waiting}",
)
RELOADED_SAME: Final = Line(
    level="info", word="config_reloaded", sentence="The configuration was read again from {path}; nothing has changed"
)


def _reloaded(event: ConfigReloaded) -> Line:
    if event.waiting:
        return RELOADED_IN_PART if event.applied else WANTS_RESTART
    return RELOADED if event.applied else RELOADED_SAME


def _call(event: CallFinished) -> Line:
    if not event.reason:
        return CALL_ANSWERED
    return CALL_FAILED if fault_domain(event.reason) in (PROVIDER, GATEWAY) else CALL_REFUSED


def _attempt(event: AttemptFinished) -> Line | None:
    return ATTEMPT_FAILED if event.reason else None


def _job(event: JobFinished) -> Line:
    return JOB_LOST if fault_domain(event.reason) in (PROVIDER, GATEWAY) or event.state == "expired" else JOB_ENDED


def _uplink(event: UplinkChanged) -> Line:
    return UPLINK_DOWN if event.after in (Uplink.OFFLINE, Uplink.DEGRADED) else UPLINK_UP


def _stopped(event: NodeStopped) -> Line:
    return STOPPED if event.drained else STOPPED_HARD


LINES: Final[dict[type[Event], Line | Choice | None]] = {
    NodeStarted: Line(
        level="info", word="node_started", sentence="edgeclient {version} takes calls on {listen} for {upstream}"
    ),
    NodeDraining: Line(
        level="info",
        word="node_draining",
        sentence="{signal}: no new calls, {active_call_count} running ones have {grace_s:g} s to finish",
    ),
    NodeStopped: Choice(lines=(STOPPED, STOPPED_HARD), pick=_stopped),
    RpcFinished: None,  # traffic; its chats are told
    CallFinished: Choice(lines=(CALL_ANSWERED, CALL_REFUSED, CALL_FAILED), pick=_call),
    AttemptFinished: Choice(lines=(ATTEMPT_FAILED,), pick=_attempt),
    RetryScheduled: Line(
        level="debug",
        word="retry_scheduled",
        sentence="After attempt {attempt} ({reason}) the next one begins in {delay_s:.2f} s",
    ),
    CallShed: Line(
        level="warning",
        word="call_shed",
        sentence="Refused a call for lack of room: {limit} is {value} and reached",
        once_per=("limit",),
    ),
    UplinkChanged: Choice(lines=(UPLINK_UP, UPLINK_DOWN), pick=_uplink),
    ProtocolNegotiated: Line(level="info", word="protocol_negotiated", sentence="{target} answers over {protocol}"),
    KeyChanged: Line(level="info", word="key_changed", sentence="The API key of {target} was replaced from {source}"),
    KeyUnreadable: Line(
        level="error",
        word="key_unreadable",
        sentence="The API key of {target} could not be read from {source}, the last known one stays in use: {problem}",
        once_per=("source", "problem"),
    ),
    KeyRefused: Line(
        level="error",
        word="key_refused",
        sentence="{target} can be reached and refuses the API key; check its key file or DASHSCOPE_API_KEY, and that"
        " the key belongs to the region of its endpoint: {problem}",
    ),
    ConfigReloaded: Choice(lines=(RELOADED, RELOADED_IN_PART, WANTS_RESTART, RELOADED_SAME), pick=_reloaded),
    ConfigRejected: Line(
        level="error",
        word="config_rejected",
        sentence="The configuration {path} was read again and is wrong, so nothing has changed: {problems}",
    ),
    CertificateChanged: Line(
        level="info", word="certificate_changed", sentence="The certificate was replaced from {path}"
    ),
    CertificateUnreadable: Line(
        level="error",
        word="certificate_unreadable",
        sentence="The certificate {path} could not be used, the last good one stays in use: {problem}",
        once_per=("path", "problem"),
    ),
    DefectFound: Line(
        level="error",
        word="defect_found",
        sentence="Unexpected {kind} in {where}; this is a bug, please report it with the traceback",
        once_per=("where", "kind"),
    ),
    JobStarted: None,  # traffic; its attempts and its end are told
    JobFinished: Choice(lines=(JOB_ENDED, JOB_LOST), pick=_job),
    SpoolFailed: Line(
        level="error",
        word="spool_failed",
        sentence="The storage of the queue cannot be used, nothing is accepted until it can: {problem}",
        once_per=("problem",),
    ),
    SpoolRecovered: Line(level="info", word="spool_recovered", sentence="The storage of the queue works again"),
    SpoolDamaged: Line(
        level="error",
        word="spool_damaged",
        sentence="The queue was damaged: {saved} rows saved, {spoilt} of them dead for it, {lost} lost;"
        " the damaged file is {moved_to}",
    ),
    OperatorDoorClosed: Line(
        level="warning",
        word="operator_door_closed",
        sentence="`edgeclient jobs --config` will not reach this node while it runs: control.sock cannot be made beside"
        " the queue ({problem})",
    ),
    SpoolFellBack: Line(
        level="error",
        word="spool_fell_back",
        sentence="The queue is older than what was acknowledged: {commits} commits are missing, and {lost} requests"
        " with them. Its log was lost, or an older copy put in place; what was sent since may be sent once more",
    ),
    SpoolPaused: Choice(lines=(PAUSED, MODEL_PAUSED), pick=lambda event: MODEL_PAUSED if event.model else PAUSED),
    SpoolResumed: Choice(lines=(RESUMED, MODEL_RESUMED), pick=lambda event: MODEL_RESUMED if event.model else RESUMED),
    **CACHE_LINES,
    **DISPATCH_LINES,
    **QUOTA_LINES,
    **HALF_PRICE_LINES,
    **ROUTE_LINES,
}
