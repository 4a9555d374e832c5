from dataclasses import fields
from typing import Any, cast

import pytest

from edgeclient.config.layers import defaults, variable
from edgeclient.config.row_schema import PriceConfig
from edgeclient.config.schema import SECTIONS, AdminConfig, ChatConfig, IngressConfig, UpstreamConfig
from edgeclient.config.setting import Section, SettingError


def problems(cls: type[Section], **values: Any) -> list[str]:
    with pytest.raises(SettingError) as caught:
        cls(**values)
    return caught.value.problems


@pytest.mark.parametrize("cls", [*SECTIONS.values(), PriceConfig])
def test_every_setting_says_what_it_is_for(cls: type) -> None:
    for spec in fields(cast("Any", cls)):
        assert spec.metadata["help"].endswith("."), spec.name


def test_every_section_is_known() -> None:
    assert list(SECTIONS) == [
        "node",
        "ingress",
        "auth",
        "upstream",
        "route",
        "chat",
        "prepare",
        "cache",
        "quota",
        "dispatch",
        "spool",
        "half_price",
        "admin",
        "log",
    ]


def test_every_setting_has_a_variable_of_its_own() -> None:
    paths = defaults()
    assert len({variable(path) for path in paths}) == len(paths)


def test_lists_are_not_shared() -> None:
    assert ChatConfig().extra_keys is not ChatConfig().extra_keys


def test_plaintext_on_the_network_has_to_be_wanted() -> None:
    assert problems(IngressConfig, listen="0.0.0.0:1")[0].startswith("listen: 0.0.0.0:1 would take plaintext")
    IngressConfig(listen="0.0.0.0:1", allow_plaintext=True)
    IngressConfig(listen="0.0.0.0:1", tls_certificate_file="c", tls_key_file="k")


def test_wrong_type_and_wrong_limit_are_told_together() -> None:
    assert problems(IngressConfig, listen=5, max_in_flight=0) == [
        'listen: wants text, such as "127.0.0.1:50051", got 5',
        "max_in_flight: 0 is too small, the least is 1",
    ]


@pytest.mark.parametrize("value", [True, "3", 3.0, None, [3]])
def test_only_a_whole_number_is_a_whole_number(value: object) -> None:
    assert problems(UpstreamConfig, max_attempts=value)[0].startswith("max_attempts: wants a whole number, such as 3")


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("dashscope.aliyuncs.com", "is no URL"),
        ("ftp://x/v1", "is no URL"),
        ("https://", "is no URL"),
        ("https://[::1/v1", "is no URL"),
        ("https://x:99999/v1", "is no URL"),
        ("http://x/v1", "would send the API key in plaintext"),
        ("https://x/v1?key=1", "must not hold a query"),
        ("https://u:p@x/v1", "must not hold a user or a password"),
    ],
)
def test_endpoint_is_a_url_without_secrets(url: str, problem: str) -> None:
    found = problems(UpstreamConfig, base_url=url)
    assert len(found) == 1
    assert found[0].startswith("base_url: ")
    assert problem in found[0]


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080/v1", "http://[::1]:8080/v1", "http://localhost/v1"])
def test_plaintext_endpoint_on_this_machine_is_fine(url: str) -> None:
    assert UpstreamConfig(base_url=url).base_url == url


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"listen": "50051"}, "listen: '50051' is no address with a port"),
        ({"tls_client_ca_file": "ca.pem"}, "tls_client_ca_file: needs tls_certificate_file and tls_key_file as well"),
        ({"tls_key_file": "k.pem"}, "tls_certificate_file: is missing; a certificate and its key come together"),
        ({"tls_certificate_file": "c.pem"}, "tls_key_file: is missing; a certificate and its key come together"),
        ({"default_timeout_s": 60, "max_timeout_s": 30}, "default_timeout_s: 60 is above max_timeout_s, which is 30"),
    ],
)
def test_settings_of_the_port_fit_together(values: dict[str, Any], problem: str) -> None:
    (found,) = problems(IngressConfig, **values)
    assert found.startswith(problem)


def test_pauses_fit_together() -> None:
    assert problems(UpstreamConfig, retry_initial_s=5, retry_max_s=1) == [
        "retry_initial_s: 5 is above retry_max_s, which is 1"
    ]


@pytest.mark.parametrize("proxy", ["environment", "none", "http://proxy:3128", "https://proxy"])
def test_proxy_is_a_word_or_a_url(proxy: str) -> None:
    assert UpstreamConfig(proxy=proxy).proxy == proxy


def test_admin_port_may_be_turned_off_but_not_be_nonsense() -> None:
    assert AdminConfig(listen="").listen == ""
    assert problems(AdminConfig, listen="9464")[0].startswith("listen: '9464' is no address with a port")
