"""Asks the provider for its limits, at the start and every hour, and passes them on.

Only a workspace's own host is documented to answer this question; elsewhere it is asked if `upstream.read_quotas` is
`always`. What is told can lower a limit and never raises one. It is a help and no more: if it fails, the limits that
are known stay, the failure is told once, and the question is asked again after five minutes.

An answer has pages. Periods need not be minutes: 500 requests a second are told as they are, and mean 30,000 a minute.
"""

import asyncio
import re
from collections.abc import Callable
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.json import Decoder

from edgeclient.config.schema import UpstreamConfig
from edgeclient.core.errors import CallError
from edgeclient.core.ports import Clock, Observe
from edgeclient.core.quota_events import QuotasRead, QuotasUnread
from edgeclient.upstream.exchange import Outgoing
from edgeclient.upstream.failures import failure, parse_error
from edgeclient.upstream.transport import Transport
from edgeclient.upstream.wire import UNREADABLE

PERIOD_S = 3600.0
AFTER_FAILURE_S = 300.0
_PAGE_SIZE = 200
_MOST_PAGES = 20
_MOST_BYTES = 4 * 1024 * 1024
_MINUTE_S = 60
_WORKSPACE_HOST = re.compile(r"(?!trial\.|token-plan\.)[\w-]+\.[\w-]+\.maas\.aliyuncs\.com")

Lower = Callable[..., None]
"""`Quota.lower`."""


class _Limit(Struct, gc=False):
    request_limit: float | None = None
    request_limit_period: float | None = None
    usage_limit: float | None = None
    usage_limit_period: float | None = None


class _Quota(Struct, gc=False):
    model: str | None = None
    name: str | None = None
    model_limit: _Limit | None = None
    workspace_limit: _Limit | None = None


class _Output(Struct, gc=False):
    quotas: list[_Quota] = []
    total: int = 0


class _Answer(Struct, gc=False):
    output: _Output | None = None


_ANSWER: Decoder[_Answer] = Decoder(_Answer)


def answers_quotas(config: UpstreamConfig) -> bool:
    """Whether the provider is to be asked."""
    host = urlsplit(config.base_url).hostname or ""
    return config.read_quotas == "always" or (
        config.read_quotas == "auto" and _WORKSPACE_HOST.fullmatch(host) is not None
    )


class QuotaReader:
    """See the module. `run` is a task of whoever wires it.

    Args:
        config: The provider.
        transport: The way there.
        lower: Takes what it told: `Quota.lower`.
        observe: Takes `QuotasRead` and `QuotasUnread`.
        clock: Measures, and sleeps in between.
    """

    def __init__(
        self, config: UpstreamConfig, transport: Transport, *, lower: Lower, observe: Observe, clock: Clock
    ) -> None:
        self._config = config
        self._transport = transport
        self._lower = lower
        self._observe = observe
        self._clock = clock
        self._problem = ""

    async def run(self) -> None:
        """Ask now and every hour. Ends only by cancellation."""
        while True:
            await self._clock.sleep(PERIOD_S if await self.once() else AFTER_FAILURE_S)

    async def once(self) -> bool:
        """Ask now; whether it was told."""
        problem = ""
        try:
            quotas = await self._read()
        except TimeoutError:
            problem = "it did not answer in time"
        except CallError as error:
            problem = error.summary
        except UNREADABLE as error:
            problem = f"its answer cannot be understood ({type(error).__name__})"
        if problem:
            if problem != self._problem:
                self._observe(QuotasUnread(target=self._config.name, problem=problem))
            self._problem = problem
            return False
        self._problem = ""
        now_s = self._clock.monotonic_s()
        for model, requests, tokens in quotas:
            self._lower(model, requests_per_minute=requests, tokens_per_minute=tokens, now_s=now_s)
        self._observe(QuotasRead(target=self._config.name, model_count=len(quotas)))
        return True

    async def _read(self) -> list[tuple[str, int, int]]:
        """Model, requests and tokens per minute, 0 for what is not limited."""
        found: list[tuple[str, int, int]] = []
        seen = 0
        for page in range(1, _MOST_PAGES + 1):
            answer = _ANSWER.decode(await self._page(page))
            output = answer.output or _Output()
            for quota in output.quotas:
                model = quota.model or quota.name
                if model:
                    found.append((model, *_per_minute(quota)))
            seen += len(output.quotas)
            if not output.quotas or seen >= output.total:
                break
        return found

    async def _page(self, number: int) -> bytes:
        path = f"/api/v1/quotas?page_no={number}&page_size={_PAGE_SIZE}"
        config = self._config
        async with (
            asyncio.timeout(config.connect_timeout_s + config.headers_timeout_s),
            self._transport.exchange(Outgoing(method="GET", path=path, at_root=True)) as incoming,
        ):
            body = await incoming.read_until(_MOST_BYTES)
            content_type = incoming.header("content-type")
            if incoming.is_refusal or "html" in content_type:
                raise failure(parse_error(http_status=incoming.status, content_type=content_type, body=body))
        return body


def _per_minute(quota: _Quota) -> tuple[int, int]:
    """The lower one of account and workspace, for requests and for tokens."""
    limits = [limit for limit in (quota.model_limit, quota.workspace_limit) if limit is not None]
    requests = [_rate(limit.request_limit, limit.request_limit_period) for limit in limits]
    tokens = [_rate(limit.usage_limit, limit.usage_limit_period) for limit in limits]
    return min(filter(None, requests), default=0), min(filter(None, tokens), default=0)


def _rate(limit: float | None, period_s: float | None) -> int:
    """Per minute; 0: none. Without a period it is that of a minute."""
    if not limit or limit < 0 or (period_s is not None and period_s <= 0):
        return 0
    return max(1, int(limit * _MINUTE_S / (period_s or _MINUTE_S)))
