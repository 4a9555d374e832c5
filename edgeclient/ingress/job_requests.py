"""What requests about jobs may hold, apart from the chat request inside: spans, page sizes, page tokens.

Everything that is wrong with a request is told at once. A page token is a position and a hash of the filter that it was
made for: a token that is used with another filter would silently leave jobs out, so it is refused.
"""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from google.protobuf.duration_pb2 import Duration

from edgeclient.core.errors import Reason, Rejected, Violation
from edgeclient.v1 import job_pb2

PAGE_DEFAULT = 20
PAGE_MOST = 100
WATCH_MOST = 100
_NANOS_PER_S = 1_000_000_000


def seconds_of(duration: Duration) -> float:
    """The length of a Duration."""
    return float(duration.seconds + duration.nanos / _NANOS_PER_S)


def refuse(problems: Sequence[Violation]) -> None:
    """Raise `Rejected` if there are any."""
    if problems:
        first = problems[0]
        sentence = f"{first.field}: {first.description}"
        if len(problems) > 1:
            sentence += f" (the first of {len(problems)} problems)"
        raise Rejected(Reason.ERROR_REASON_INVALID_REQUEST, sentence, violations=problems)


def check_job_id(job_id: str) -> None:
    """Refuse a request that names no job."""
    if not job_id:
        refuse([Violation(field="job_id", description="is empty; give the id of a job")])


def submit_problems(request: job_pb2.SubmitJobRequest, *, max_ttl_s: float) -> list[Violation]:
    """What is wrong with a submission, the chat request apart."""
    problems = []
    if not request.HasField("request"):
        problems.append(Violation(field="request", description="is missing; give the chat request to run"))
    if request.HasField("ttl"):
        problem = _span_problem(request.ttl)
        if problem is None and not 0 < seconds_of(request.ttl) <= max_ttl_s:
            ttl_s = seconds_of(request.ttl)
            problem = f"{ttl_s:.7g}s is out of range; write more than 0s and at most {max_ttl_s:.10g}s"
        if problem is not None:
            problems.append(Violation(field="ttl", description=problem))
    if request.resend_policy not in job_pb2.ResendPolicy.values():
        description = (
            f"{request.resend_policy} is no ResendPolicy; write RESEND_POLICY_ONCE or RESEND_POLICY_NEVER, or leave it"
            " out"
        )
        problems.append(Violation(field="resend_policy", description=description))
    return problems


def wait_s(request: job_pb2.WaitJobRequest, *, most_s: float) -> float:
    """How long to wait; longer than the node does is cut, as the contract says."""
    check_job_id(request.job_id)
    if not request.HasField("timeout"):
        return most_s
    problem = _span_problem(request.timeout)
    if problem is None and seconds_of(request.timeout) < 0:
        problem = f"{seconds_of(request.timeout):.7g}s is out of range; write 0s or more"
    if problem is not None:
        refuse([Violation(field="timeout", description=problem)])
    return min(seconds_of(request.timeout), most_s)


def check_watch(request: job_pb2.WatchJobsRequest) -> None:
    """Refuse more jobs than one stream watches, and a mark that is none."""
    problems = []
    if len(request.job_ids) > WATCH_MOST:
        description = f"has {len(request.job_ids)} ids; at most {WATCH_MOST} are allowed, or none for all jobs"
        problems.append(Violation(field="job_ids", description=description))
    elif "" in request.job_ids:
        index = list(request.job_ids).index("")
        problems.append(Violation(field=f"job_ids[{index}]", description="is empty; give the id of a job"))
    if request.after_revision < 0:
        description = f"{request.after_revision} is out of range; write the revision of a job, or 0 for everything"
        problems.append(Violation(field="after_revision", description=description))
    refuse(problems)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Which part of a list is wanted.

    Attributes:
        size: Most jobs.
        before_seq: Only jobs accepted before this one; None: from the newest.
        filter_hash: What the next token is bound to.
    """

    size: int
    before_seq: int | None
    filter_hash: str

    def token(self, last_seq: int) -> str:
        """The token of the page after this one, which ended with `last_seq`."""
        return base64.urlsafe_b64encode(f"{last_seq}.{self.filter_hash}".encode()).decode().rstrip("=")


def page(request: job_pb2.ListJobsRequest) -> Page:
    """Read a request for a page.

    Raises:
        Rejected: The size, a state or the token is wrong.
    """
    problems = []
    if request.page_size < 0:
        description = f"is {request.page_size}; give 1 to {PAGE_MOST}, or 0 for {PAGE_DEFAULT}"
        problems.append(Violation(field="page_size", description=description))
    known = set(job_pb2.JobState.values()) - {job_pb2.JOB_STATE_UNSPECIFIED}
    for index, state in enumerate(request.states):
        if state not in known:
            description = f"{state} is no state of a job; write for instance JOB_STATE_PENDING"
            problems.append(Violation(field=f"states[{index}]", description=description))
            break  # a list of a thousand of them need not be repeated
    shaping = ",".join(str(state) for state in sorted(set(request.states)))
    filter_hash = hashlib.sha256(shaping.encode()).hexdigest()[:16]
    before_seq = None
    if request.page_token:
        before_seq = _position(request.page_token, filter_hash)
        if before_seq is None:
            description = "is none of this list; give the next_page_token of the page before and the same states"
            problems.append(Violation(field="page_token", description=description))
    refuse(problems)
    return Page(size=min(request.page_size or PAGE_DEFAULT, PAGE_MOST), before_seq=before_seq, filter_hash=filter_hash)


def _position(token: str, filter_hash: str) -> int | None:
    try:
        text = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True).decode("ascii")
        number, _, bound_to = text.partition(".")
        seq = int(number) if number.isdecimal() and len(number) <= len(str(2**63)) else -1
    except ValueError:  # not base64, or not ASCII inside
        return None
    return seq if bound_to == filter_hash and 0 <= seq < 2**63 else None


def _span_problem(duration: Duration) -> str | None:
    if abs(duration.nanos) >= _NANOS_PER_S or duration.seconds * duration.nanos < 0:
        return "is no Duration; nanos have at most 9 digits and the sign of seconds"
    return None
