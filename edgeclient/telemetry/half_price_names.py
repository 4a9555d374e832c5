"""Names of the metrics of work at half price; the others, and the rules for all, are in `names.py`."""

from typing import Final

from edgeclient.telemetry.names import Spec

BATCHES: Final = Spec(
    name="edgeclient_half_price_batches",
    help="Batches that have come to a state; the difference of two states is how many stand between.",
    labels=("state",),
)
OPEN: Final = Spec(
    name="edgeclient_half_price_open_batches",
    help="Batches that are not over, by state; missing: its order was cut off and no listing of the provider shows it.",
    labels=("state",),
)
OPEN_LINES: Final = Spec(
    name="edgeclient_half_price_open_lines",
    help="Jobs that those batches began with.",
    labels=("state",),
)
LINES: Final = Spec(
    name="edgeclient_half_price_lines", help="Jobs of batches that were accounted for.", labels=("outcome",)
)
SAVED: Final = Spec(
    name="edgeclient_half_price_saved_cost",
    help="What answers at half price would have cost in addition, in units of the currency, for models with a price.",
    labels=("currency",),
)
SENT_LIVE: Final = Spec(
    name="edgeclient_half_price_sent_live", help="Deferrable jobs that went the ordinary road.", labels=("cause",)
)
FAILURES: Final = Spec(
    name="edgeclient_half_price_failures",
    help="Steps of batches that failed and are tried again; batches that were refused, missing, late, or left files.",
    labels=("kind",),
)
