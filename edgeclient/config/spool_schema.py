"""The settings of the durable queue; the other sections are in `schema.py`."""

from dataclasses import dataclass

from edgeclient.config.setting import Section, setting


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolConfig(Section):
    """The durable queue: jobs and idempotency keys on the disk of this node."""

    directory: str = setting("", "Folder of the queue. Empty: none, and requests that need one are refused.")
    encryption_key_file: str = setting("", "File with the node key, 32 bytes as base64 or hex. Empty: not encrypted.")
    max_jobs: int = setting(100_000, "Most rows; more are refused with QUEUE_FULL.", least=1, most=10_000_000)
    max_bytes: int = setting(1024**3, "Largest size of the database.", least=1024**2, most=1024**4)
    max_request_bytes: int = setting(1024**2, "Largest request that is stored.", least=1024, most=64 * 1024**2)
    max_caller_share: float = setting(0.5, "Largest part of max_jobs that one caller may hold.", least=0.001, most=1)
    disk_floor_bytes: int = setting(64 * 1024**2, "Free space of the disk that is left to others.", least=0)
    ballast_bytes: int = setting(4 * 1024**2, "Space held back for finishing on a full disk.", least=0, most=1024**3)
    default_ttl_s: float = setting(86_400.0, "How long attempts make sense if a job does not say.", least=1)
    max_ttl_s: float = setting(7 * 86_400.0, "Longest ttl that a job may ask for.", least=1, most=90 * 86_400)
    retention_s: float = setting(86_400.0, "How long a finished job and its answer are kept.", least=1)
    keep_failed_requests: bool = setting(
        True, "Keep the request of a job that failed or expired until it is purged, so that it can be retried."
    )
    idempotency_window_s: float = setting(86_400.0, "How long an idempotency key is remembered.", least=1)
    resend: str = setting("hold", "An attempt of unknown outcome: hold, or once.", choices=("hold", "once"))
    max_attempts: int = setting(10, "Most attempts for one job.", least=1, most=1000)
    attempt_timeout_s: float = setting(600.0, "Time budget of one attempt if the job does not say.", least=1, most=3600)
    retry_initial_s: float = setting(2.0, "Upper bound of the first pause; doubles each time.", least=0.01, most=3600)
    retry_max_s: float = setting(300.0, "Upper bound of any pause between attempts.", least=0.01, most=86_400)
    max_in_flight: int = setting(16, "Most jobs in progress at a time.", least=1, most=10_000)
    resume_spread_s: float = setting(
        10.0, "After an outage or a boot the queue starts at a random moment within.", least=0, most=3600
    )

    def conflicts(self) -> list[str]:
        """Defaults fit their maxima."""
        problems = []
        if self.default_ttl_s > self.max_ttl_s:
            problems.append(f"default_ttl_s: {self.default_ttl_s:g} is above max_ttl_s, which is {self.max_ttl_s:g}")
        if self.retry_initial_s > self.retry_max_s:
            problems.append(
                f"retry_initial_s: {self.retry_initial_s:g} is above retry_max_s, which is {self.retry_max_s:g}"
            )
        return problems
