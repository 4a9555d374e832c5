import pytest

from edgeclient.config.schema import UpstreamConfig
from edgeclient.upstream.proxy import proxy_url

CLOUD = "https://dashscope.aliyuncs.com/compatible-mode/v1"


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, ""),
        ({"HTTPS_PROXY": "http://proxy:3128"}, "http://proxy:3128"),
        ({"https_proxy": "proxy:3128"}, "http://proxy:3128"),
        ({"HTTPS_PROXY": "http://big:1", "https_proxy": "http://small:1"}, "http://small:1"),
        ({"ALL_PROXY": "http://all:1"}, "http://all:1"),
        ({"HTTP_PROXY": "http://plain:1"}, ""),
        ({"HTTPS_PROXY": "http://proxy:1", "NO_PROXY": "*"}, ""),
        ({"HTTPS_PROXY": "http://proxy:1", "NO_PROXY": "localhost, .aliyuncs.com"}, ""),
        ({"HTTPS_PROXY": "http://proxy:1", "NO_PROXY": "aliyuncs.com:443"}, ""),
        ({"HTTPS_PROXY": "http://proxy:1", "NO_PROXY": "aliyuncs.com:8443"}, "http://proxy:1"),
        ({"HTTPS_PROXY": "http://proxy:1", "NO_PROXY": "yuncs.com"}, "http://proxy:1"),
    ],
)
def test_environment(environment: dict[str, str], expected: str) -> None:
    assert expected == proxy_url(UpstreamConfig(base_url=CLOUD), environment)


def test_none_is_none_whatever_the_environment_says() -> None:
    assert "" == proxy_url(UpstreamConfig(proxy="none"), {"HTTPS_PROXY": "http://proxy:1"})


def test_a_url_wins() -> None:
    assert "http://p:2" == proxy_url(UpstreamConfig(proxy="http://p:2"), {"HTTPS_PROXY": "http://proxy:1"})


def test_this_machine_is_not_looked_for_behind_a_proxy() -> None:
    for host in ("localhost", "127.0.0.1", "[::1]"):
        config = UpstreamConfig(base_url=f"https://{host}:8443/v1")
        assert "" == proxy_url(config, {"HTTPS_PROXY": "http://proxy:1"})
