"""The settings of work that can wait and costs half; the other sections are in `schema.py`."""

from dataclasses import dataclass

from edgeclient.config.setting import Section, setting

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class HalfPriceConfig(Section):
    """Jobs that are deferrable and of low priority, sent through the provider's half-price interfaces."""

    mode: str = setting(
        "off",
        "off: like any other job; file: in batches, within a day or more; chat: one by one, within the hour.",
        choices=("off", "file", "chat"),
    )
    target: str = setting(
        "", "Target that batches are sent to, and whose key the mode chat shows. Empty: the first that is not local."
    )
    models: list[str] = setting([], "Models that are sent so. Empty: those that the provider documents.")
    min_lines: int = setting(1, "Fewest jobs that are worth a batch; fewer are sent live.", least=1, most=50_000)
    max_lines: int = setting(50_000, "Most jobs of one batch.", least=1, most=50_000)
    max_bytes: int = setting(
        8 * _MIB,
        "Largest file of a batch; three times as much memory is used to upload it.",
        least=1024,
        most=500 * _MIB,
    )
    max_line_bytes: int = setting(6 * _MIB, "Largest request in a batch.", least=1024, most=6 * _MIB)
    linger_s: float = setting(60.0, "How long jobs collect company for a batch.", least=0, most=86_400)
    completion_window_h: int = setting(
        24, "Longest time that the provider is given for a batch, in hours.", least=24, most=336
    )
    reserve_s: float = setting(
        3600.0, "Part of a job's ttl that is left for sending it live if a batch gives nothing.", least=0, most=86_400
    )
    default_ttl_s: float = setting(
        259_200.0, "How long attempts make sense for a deferrable job that does not say.", least=1
    )
    poll_s: float = setting(60.0, "How often the provider is asked about a batch.", least=0.01, most=3600)
    settle_s: float = setting(
        600.0,
        "How long jobs wait for a batch whose creation was cut off, before their resend policy decides.",
        least=0.01,
        most=86_400,
    )
    request_timeout_s: float = setting(60.0, "Time for a small request about batches.", least=0.05, most=600)
    transfer_timeout_s: float = setting(900.0, "Time for moving a file.", least=0.05, most=3600)
    base_url: str = setting(
        "https://batch.dashscope.aliyuncs.com/compatible-mode/v1", "Endpoint of the mode chat; of Beijing alone."
    )
    max_in_flight: int = setting(64, "Most jobs in progress in the mode chat.", least=1, most=10_000)
    chat_timeout_s: float = setting(
        3600.0, "How long an answer may take in the mode chat; nothing is heard before.", least=60, most=3600
    )

    def conflicts(self) -> list[str]:
        """What is fewest, longest and most fits together, and settling outlasts what it waits for."""
        problems = []
        if self.min_lines > self.max_lines:
            problems.append(f"min_lines: {self.min_lines} is above max_lines, which is {self.max_lines}")
        if self.max_line_bytes > self.max_bytes:
            problems.append(f"max_line_bytes: {self.max_line_bytes} is above max_bytes, which is {self.max_bytes}")
        if self.settle_s < self.request_timeout_s:
            problems.append(
                f"settle_s: {self.settle_s:g} is below request_timeout_s, {self.request_timeout_s:g}; a batch may still"
                " be created while its request is under way"
            )
        if self.mode == "chat" and not self.base_url.startswith(("https://", "http://127.", "http://localhost")):
            problems.append("base_url: would send the API key in plaintext; use https")
        return problems
