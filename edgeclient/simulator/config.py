"""What a simulated cloud can be told at its start. The defaults are a healthy cloud that answers as fast as it can."""

from dataclasses import dataclass, field
from pathlib import Path

from .batch.rules import BatchPace, BatchRules
from .certificates import CertificateMode
from .faults import Fault
from .pace import ModelPace
from .rates.model_limits import ModelLimits

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorConfig:
    """Options of `Simulator`; every one has a flag of `edgeclient sim`."""

    host: str = "127.0.0.1"
    port: int = 0  # 0: the system chooses
    plaintext: bool = False  # no TLS: HTTP/2 by prior knowledge or HTTP/1.1, told apart by the first bytes
    http1_only: bool = False
    directory: Path | None = None  # for ca.pem and the leaf; None: a temporary one that is removed at the end
    certificate: CertificateMode = CertificateMode.VALID
    extra_names: tuple[str, ...] = ()  # names or addresses in the certificate beside localhost, 127.0.0.1 and ::1
    api_key: str | None = None  # None: any key but those that begin with sk-invalid; "": none is wanted
    seed: int = 1
    latency_ms: float = 0  # before the head of every answer
    ttft_ms: float = 0  # from the head to the first token
    tokens_per_s: float = 0  # 0: as fast as possible
    jitter: float = 0  # each wait is spread by up to this part, 0.2 = plus or minus 20 %
    prefill_tokens_per_s: float = 0  # speed of reading the prompt, which delays the first token; 0: no delay
    paces: tuple[ModelPace, ...] = ()  # other waits for some models
    sampling: bool = False  # equal requests get different answers, but at temperature 0 and under a seed
    tokens_per_chunk: int = 4
    max_streams: int = 256  # SETTINGS_MAX_CONCURRENT_STREAMS
    max_body_bytes: int = 16 * MIB
    limits: tuple[ModelLimits, ...] = ()  # rate limits by model; the first that matches holds
    rpm: int | None = None  # for models without limits of their own: requests per minute, a sixtieth of it per second
    tpm: int | None = None  # the same for tokens, input and output
    cache_min_tokens: int | None = None  # the implicit context cache, for prefixes of at least so many; None: off
    batch: BatchRules = field(default_factory=BatchRules)
    batch_pace: BatchPace = field(default_factory=BatchPace)
    batch_chat_wait_ms: float = 0  # of a batch chat for its turn
    batch_chat_longest_s: float = 3600  # after this a batch chat is refused
    gzip: bool = False  # compress unary answers for clients that accept it, as the real gateway does
    faults: tuple[Fault, ...] = ()
    ledger_entries_max: int = 100_000
    keep_bodies: bool = False
    kept_bodies_max_bytes: int = 64 * MIB

    def __post_init__(self) -> None:
        """Refuse what cannot work, naming the option and what would be right."""
        if not 0 <= self.port <= 65_535:  # noqa: PLR2004 - the range of TCP ports
            raise ValueError(f"port is {self.port}, must be 0 (free choice) to 65535")
        for name in ("latency_ms", "ttft_ms", "tokens_per_s", "prefill_tokens_per_s", "batch_chat_wait_ms"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}, must not be negative (0 = no wait)")
        if not 0 <= self.jitter <= 1:
            raise ValueError(f"jitter is {self.jitter}, must be between 0 and 1 (0.2 = plus or minus 20 %)")
        for name in ("tokens_per_chunk", "max_streams", "max_body_bytes", "ledger_entries_max"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, must be at least 1")
        for name in ("rpm", "tpm", "cache_min_tokens"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, must be at least 1 (leave it out for no limit)")
        if self.batch_chat_longest_s <= 0:
            raise ValueError(f"batch_chat_longest_s is {self.batch_chat_longest_s}, must be above 0")
