"""What the provider tells about limits, and what becomes of a failure to tell."""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from fakes.clock import FakeClock
from upstream_end import UpstreamEnd

from edgeclient.config.schema import UpstreamConfig
from edgeclient.core.events import Event
from edgeclient.core.quota_events import QuotasRead, QuotasUnread
from edgeclient.upstream.engines import Engine
from edgeclient.upstream.quota_read import QuotaReader, answers_quotas


class _Body(httpx.AsyncByteStream):
    def __init__(self, body: bytes) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._body


class _Cloud(httpx.AsyncBaseTransport):
    """Answers with page after page, then with the last one again."""

    def __init__(self, *pages: bytes, status: int = 200) -> None:
        self.pages = list(pages)
        self.status = status
        self.urls: list[str] = []

    def __call__(self, config: UpstreamConfig, *, proxy_url: str, on_stream_limit: Callable[[int], None]) -> Engine:
        del config, proxy_url, on_stream_limit
        return self

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.urls.append(str(request.url))
        assert request.headers["authorization"] == "Bearer sk-of-the-node"
        body = self.pages.pop(0) if len(self.pages) > 1 else self.pages[0]
        return httpx.Response(self.status, headers={"content-type": "application/json"}, stream=_Body(body))


def page(*quotas: dict[str, Any], total: int | None = None) -> bytes:
    return json.dumps({"output": {"quotas": quotas, "total": len(quotas) if total is None else total}}).encode()


def quota(model: str, limit: dict[str, Any] | None, workspace: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"model": model, "model_limit": limit, "workspace_limit": workspace}


def limit(requests: int | None, tokens: int | None, *, period_s: int | None = 60) -> dict[str, Any]:
    return {
        "request_limit": requests,
        "request_limit_period": period_s,
        "usage_limit": tokens,
        "usage_limit_field": "total_tokens",
        "usage_limit_period": period_s,
    }


async def told(cloud: _Cloud) -> tuple[dict[str, tuple[int, int]], list[Event]]:
    end = UpstreamEnd(build=cloud, base_url="https://cloud.test/compatible-mode/v1")
    found: dict[str, tuple[int, int]] = {}

    def lower(model: str, *, requests_per_minute: int, tokens_per_minute: int, now_s: float) -> None:
        del now_s
        found[model] = (requests_per_minute, tokens_per_minute)

    reader = QuotaReader(end.config, end.transport, lower=lower, observe=end.events.append, clock=FakeClock())
    await reader.once()
    await reader.once()
    return found, [event for event in end.events if isinstance(event, QuotasRead | QuotasUnread)]


async def test_limits_are_told_per_minute_whatever_their_period() -> None:
    cloud = _Cloud(
        page(
            quota("a", limit(600, 100_000)),
            quota("b", limit(10, 5000, period_s=1)),
            quota("c", limit(None, 10_000, period_s=6)),
            quota("d", limit(60, None, period_s=None)),
            quota("e", None),
        )
    )
    found, events = await told(cloud)

    assert found == {"a": (600, 100_000), "b": (600, 300_000), "c": (0, 100_000), "d": (60, 0), "e": (0, 0)}
    assert events[0] == QuotasRead(target="dashscope", model_count=5)
    assert cloud.urls[0] == "https://cloud.test/api/v1/quotas?page_no=1&page_size=200"


async def test_the_lower_one_of_account_and_workspace_counts() -> None:
    found, _ = await told(_Cloud(page(quota("a", limit(600, 100), limit(60, None)), quota("b", None, limit(7, 8)))))

    assert found == {"a": (60, 100), "b": (7, 8)}


async def test_all_pages_are_read() -> None:
    pages = [page(quota(f"m-{number}", limit(60, 60)), total=3) for number in range(3)]
    cloud = _Cloud(*pages, page())

    found, _ = await told(cloud)
    assert sorted(found) == ["m-0", "m-1", "m-2"]
    assert [url.partition("page_no=")[2] for url in cloud.urls[:3]] == [f"{n}&page_size=200" for n in (1, 2, 3)]


async def test_a_provider_that_never_ends_is_left() -> None:
    cloud = _Cloud(page(quota("a", limit(60, 60)), total=10**9))
    await told(cloud)

    assert len(cloud.urls) == 2 * 20


@pytest.mark.parametrize(
    ("status", "body", "problem"),
    [
        (404, b'{"code":"NotFound","message":"no such path"}', "HTTP 404"),
        (401, b'{"error":{"message":"Incorrect API key","code":"invalid_api_key"}}', "invalid_api_key"),
        (200, b"<html>", ""),
        (200, b"{broken", "cannot be understood"),
        (200, b'{"output":{"quotas":"none"}}', "cannot be understood"),
        (503, b"", "HTTP 503"),
    ],
)
async def test_a_failure_is_told_once_and_harms_nothing(status: int, body: bytes, problem: str) -> None:
    found, events = await told(_Cloud(body, status=status))

    assert found == {}
    (event,) = events
    assert isinstance(event, QuotasUnread)
    assert problem in event.problem


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("llm-ab12.cn-beijing.maas.aliyuncs.com", True),
        ("trial.cn-beijing.maas.aliyuncs.com", False),
        ("token-plan.cn-beijing.maas.aliyuncs.com", False),
        ("dashscope.aliyuncs.com", False),
        ("maas.aliyuncs.com.evil.example", False),
    ],
)
def test_a_workspace_has_a_host_that_is_asked(host: str, expected: bool) -> None:  # noqa: FBT001  of the table
    def asks(how: str) -> bool:
        return answers_quotas(UpstreamConfig(base_url=f"https://{host}/compatible-mode/v1", read_quotas=how))

    assert (asks("auto"), asks("always"), asks("never")) == (expected, True, False)
