"""Names of the metrics of limits, money and usage; the others, and the rules for all, are in `names.py`."""

from typing import Final

from edgeclient.telemetry.names import Spec

LIMIT: Final = Spec(
    name="edgeclient_limit",
    help="A limit in force, by its setting; what the provider told included.",
    labels=("subject", "name", "limit"),
)
LIMIT_USED: Final = Spec(
    name="edgeclient_limit_used",
    help="What counts against the limit now.",
    labels=("subject", "name", "limit"),
)
LIMIT_REFUSALS: Final = Spec(
    name="edgeclient_limit_refusals",
    help="Attempts that were refused for a limit of their caller, or for being larger than a limit, by the setting.",
    labels=("limit",),
)
BUDGET: Final = Spec(
    name="edgeclient_budget",
    help="Money of a caller for today (UTC), in units of the currency.",
    labels=("caller", "currency"),
)
BUDGET_USED: Final = Spec(
    name="edgeclient_budget_used",
    help="What of it is spent or reserved.",
    labels=("caller", "currency"),
)
BUDGET_WARNINGS: Final = Spec(
    name="edgeclient_budget_warnings",
    help="Budgets of callers that were nearly spent, and that refused something, once a day and caller.",
    labels=("level",),
)
CALLER_TOKENS: Final = Spec(
    name="edgeclient_caller_tokens",
    help="Tokens as billed, of chats, jobs and batches; the first hundred callers by name, then the others together.",
    labels=("caller", "type"),
)
CALLER_COST: Final = Spec(
    name="edgeclient_caller_cost",
    help="Price of what was answered, in units of the currency; callers as with their tokens.",
    labels=("caller", "currency"),
)
BATCH_SAVED: Final = Spec(
    name="edgeclient_batch_saved_cost",
    help="What the half-price interfaces saved, in units of the currency.",
    labels=("currency",),
)
QUOTA_READS: Final = Spec(
    name="edgeclient_quota_reads", help="Times that the provider was asked for its limits.", labels=("outcome",)
)
ACCOUNTS_UNSAVED: Final = Spec(
    name="edgeclient_accounts_unsaved", help="Times that what is counted could not be stored."
)
