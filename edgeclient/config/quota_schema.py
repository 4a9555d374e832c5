"""The settings of the estimates that limits and budgets are kept with; limits and budgets are rows of their own.

The factor is for a provider whose tokenizer counts otherwise than the one that the estimate was measured with. It holds
only until a model's own answers have told the truth.
"""

from dataclasses import dataclass

from edgeclient.config.setting import Section, setting


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaConfig(Section):
    """Estimates of tokens; the limits themselves are in the rows limits and callers."""

    token_factor: float = setting(
        1.0, "Estimates of input are multiplied by this until answers have told better.", least=0.1, most=10
    )
    assumed_output_tokens: int = setting(
        1024,
        "Length of an answer without max_tokens, until answers have told better.",
        least=1,
        most=1_000_000,
    )
