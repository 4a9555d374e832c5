"""The settings of the response cache and of prepared answers; the other sections are in `schema.py`."""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from edgeclient.config.address import is_loopback
from edgeclient.config.setting import Section, setting

_REDIS_PORT = 6379
_PREFIX = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheConfig(Section):
    """Answers that are given again: in memory, on the disk, in a Redis that several nodes share."""

    default_policy: str = setting(
        "reproducible",
        "What CACHE_POLICY_UNSPECIFIED means: bypass; reproducible, that is use where a request asks for the same"
        " answer each time (temperature 0 or a seed); or use.",
        choices=("bypass", "reproducible", "use"),
    )
    coalesce: bool = setting(True, "Let one upstream request answer all calls of the same content that run together.")
    shared: bool = setting(False, "Give answers of one caller to others as well.")
    ttl_s: float = setting(300.0, "Age up to which an answer is fresh, if the call does not say.", least=0)
    stale_s: float = setting(
        86_400.0, "An outdated answer is kept this long for calls with OFFLINE_POLICY_STALE.", least=0, most=90 * 86_400
    )
    max_entries: int = setting(10_000, "Most answers in memory.", least=0, most=10_000_000)
    max_bytes: int = setting(16 * 1024**2, "Most memory for answers. 0: none are kept there.", least=0)
    max_entry_bytes: int = setting(256 * 1024, "Largest answer that is kept.", least=256, most=16 * 1024**2)
    directory: str = setting(
        "", "Folder of a cache that outlives restarts; encrypted if spool.encryption_key_file is set. Empty: none."
    )
    max_disk_bytes: int = setting(256 * 1024**2, "Largest size of its file.", least=1024**2, most=1024**4)
    redis_url: str = setting(
        "", "Redis for several nodes: redis://host:6379/0, rediss:// with TLS, unix:///path. Empty: none."
    )
    redis_user: str = setting("", "User name at Redis.")
    redis_password_file: str = setting(
        "", "File with the password. Empty: the variable REDIS_PASSWORD is used if it is set."
    )
    redis_ca_file: str = setting("", "PEM file with a private CA to trust for rediss://.")
    redis_key_file: str = setting(
        "", "File with the key that answers in Redis are sealed with, 32 bytes; the same on all nodes."
    )
    redis_allow_plaintext: bool = setting(
        False, "Permit at another machine what others could read: answers without a key, a connection without TLS."
    )
    redis_prefix: str = setting("edgeclient", "Names in Redis begin with it.")
    redis_budget_s: float = setting(
        0.02, "Longest time that a call waits for Redis before it goes on without.", least=0.001, most=1
    )

    def conflicts(self) -> list[str]:
        """What others could read is asked for, and nothing here is a secret."""
        if not self.redis_url:
            return []
        if "@" in self.redis_url:
            cure = "set redis_user and redis_password_file, or the variable REDIS_PASSWORD"
            return [f"redis_url: must not hold a user or a password; {cure}"]
        url = self._redis()
        if url is None:
            return [f"redis_url: {self.redis_url!r} is no URL of a Redis, write for instance rediss://host:6379/0"]
        scheme, is_here = url
        problems = []
        if not _PREFIX.fullmatch(self.redis_prefix):
            problems.append("redis_prefix: wants 1 to 64 characters of [A-Za-z0-9_.:-], such as edgeclient")
        if self.redis_ca_file and scheme != "rediss":
            problems.append("redis_ca_file: goes with a redis_url that begins with rediss://")
        if not is_here and not self.redis_allow_plaintext:
            permit = "or permit it with redis_allow_plaintext = true"
            if not self.redis_key_file:
                problems.append(
                    f"redis_key_file: is missing, so everybody at that Redis could read the answers; name one, {permit}"
                )
            if scheme != "rediss":
                problems.append(
                    f"redis_url: would send the password and what is asked for in plaintext; use rediss://, {permit}"
                )
        return problems

    def _redis(self) -> tuple[str, bool] | None:
        """The scheme, and whether it is a Redis on this machine; None: it is no URL."""
        try:
            url = urlsplit(self.redis_url)
            host, port = url.hostname, url.port
        except ValueError:
            return None
        if url.scheme == "unix":
            return (url.scheme, True) if url.path and not host else None
        number = url.path.removeprefix("/")
        if url.scheme not in ("redis", "rediss") or not host or port == 0 or not (number.isdecimal() or not number):
            return None
        return url.scheme, is_loopback(f"{host}:{port or _REDIS_PORT}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareConfig(Section):
    """Answers that need no model, and templates of requests."""

    file: str = setting(
        "", "TOML file with pinned answers and templates; a change is taken over within seconds. Empty: none."
    )
