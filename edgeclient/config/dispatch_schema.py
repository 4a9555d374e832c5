"""The settings of the order of service; how many requests may be in progress at all is `upstream.max_in_flight`."""

from dataclasses import dataclass

from edgeclient.config.setting import Section, setting


@dataclass(frozen=True, slots=True, kw_only=True)
class DispatchConfig(Section):
    """The line in front of the provider: who waits for a turn, in which order, and who is turned away."""

    max_waiting: int = setting(
        1000, "Most calls that wait for their turn; more are refused with DISPATCH_FULL.", least=0, most=100_000
    )
    max_waiting_bytes: int = setting(
        64 * 1024**2, "Most bytes of requests that wait for their turn.", least=0, most=16 * 1024**3
    )
    ageing_s: float = setting(
        15.0, "A call that has waited longer than this gets every sixteenth turn, whatever its priority.", least=0.1
    )
    background_share: float = setting(
        0.5, "Largest part of the places that stored jobs may take; live calls come first.", least=0, most=1
    )
    max_group_count: int = setting(32, "Most calls that are released in one go.", least=1, most=10_000)
    max_group_bytes: int = setting(
        1024**2, "Most bytes of requests that are released in one go; a larger request goes alone.", least=1
    )
    max_queue_delay_s: float = setting(
        0.0,
        "How long a call of low priority or a stored job waits for company, so that a radio link may sleep between.",
        least=0,
        most=60,
    )
