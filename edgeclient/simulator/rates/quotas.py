"""GET /api/v1/quotas, and its older path /api/v1/models/limits: the provider tells an account its limits.

Rows stand for every model of the cloud and every name that has limits of its own; what is not limited is null. The
answer comes in pages, and its periods need not be minutes: a limit of 30,000 a minute may be told as 500 a second.
`name` looks for a part of the name, `model` for the whole.
"""

from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import parse_qs

from edgeclient.simulator.errors import ApiError, Shape
from edgeclient.simulator.reply import Reply, json_reply
from edgeclient.simulator.validation import refuse

from .judge import RateJudge
from .model_limits import ModelLimits
from .verdict import MINUTE_S

PATHS: Final = frozenset({"/api/v1/quotas", "/api/v1/models/limits"})
PAGE_SIZE: Final = 20
PAGE_SIZE_MAX: Final = 200
_WORKSPACE: Final = "ws-simulated"
_UNLIMITED: Final = ModelLimits(model="*")
_GLOB: Final = frozenset("*?[")


def list_quotas(query: str, judge: RateJudge, models: Iterable[str], request_id: str) -> Reply | ApiError:
    """The answer to a query string."""
    asked = {name: values[-1] for name, values in parse_qs(query).items()}
    numbers: dict[str, int] = {}
    for field, usual, most in (("page_no", 1, None), ("page_size", PAGE_SIZE, PAGE_SIZE_MAX)):
        text = asked.get(field, str(usual))
        if not text.isdigit() or int(text) < 1 or (most is not None and int(text) > most):
            return refuse(f"{field} is {text!r}, must be a whole number from 1 to {most or 'any'}", shape=Shape.B)
        numbers[field] = int(text)
    page, size = numbers["page_no"], numbers["page_size"]
    own = [row.model for row in judge.rows if not _GLOB & set(row.model)]
    names = [
        name
        for name in dict.fromkeys([*models, *own])
        if asked.get("name", "") in name and asked.get("model", name) == name
    ]
    shown = names[(page - 1) * size : page * size]
    quotas = [_quota(name, judge.limits_of(name) or _UNLIMITED) for name in shown]
    output = {"total": len(names), "page_no": page, "page_size": size, "quotas": quotas}
    return json_reply({"request_id": request_id, "output": output})


def _quota(name: str, limits: ModelLimits) -> dict[str, Any]:
    workspace = None
    if limits.workspace_rpm is not None or limits.workspace_tpm is not None:
        workspace = _limit(limits, limits.workspace_rpm, limits.workspace_tpm)
    account = _limit(limits, limits.rpm, limits.tpm)
    return {"model": name, "workspace_id": _WORKSPACE, "model_limit": account, "workspace_limit": workspace}


def _limit(limits: ModelLimits, rpm: int | None, tpm: int | None) -> dict[str, Any]:
    return {
        "request_limit": None if rpm is None else rpm * limits.request_period_s // MINUTE_S,
        "request_limit_period": None if rpm is None else limits.request_period_s,
        "usage_limit": None if tpm is None else tpm * limits.usage_period_s // MINUTE_S,
        "usage_limit_field": None if tpm is None else "total_tokens",
        "usage_limit_period": None if tpm is None else limits.usage_period_s,
        "async_user_queue_limit": None,
        "async_user_concurrency_limit": None,
    }
