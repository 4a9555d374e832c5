"""The log lines of limits, money and usage; the rules are in `lines.py`."""

from typing import Final

from edgeclient.core.events import Event
from edgeclient.core.quota_events import (
    AccountsUnsaved,
    BatchAnswered,
    BudgetNearlySpent,
    BudgetSpent,
    QuotasRead,
    QuotasUnread,
)
from edgeclient.telemetry.line import Choice, Line

QUOTA_LINES: Final[dict[type[Event], Line | Choice | None]] = {
    BatchAnswered: None,  # traffic; its job is told
    BudgetNearlySpent: Line(
        level="warning",
        word="budget_nearly_spent",
        sentence="Caller {caller} has used {spent:,.6g} of {limit}, {value:,.6g} {currency_code} a day",
    ),
    BudgetSpent: Line(
        level="warning",
        word="budget_spent",
        sentence="Caller {caller} is refused for lack of money: {spent:,.6g} of {limit}, {value:,.6g} {currency_code} a"
        " day, are used, and the next day begins in {ends_in_s:.0f} s",
    ),
    QuotasRead: Line(
        level="info",
        word="quotas_read",
        sentence="{target} told its limits for {model_count} models; those below the configured ones are in force",
    ),
    QuotasUnread: Line(
        level="warning",
        word="quotas_unread",
        sentence="{target} did not tell its limits, the known ones stay in force: {problem}",
        once_per=("target", "problem"),
    ),
    AccountsUnsaved: Line(
        level="error",
        word="accounts_unsaved",
        sentence="Usage and limits cannot be stored and are kept in memory until they can: {problem}",
        once_per=("problem",),
    ),
}
