"""What others could read has to be wanted, and no setting holds a secret."""

import pytest

from edgeclient.config.cache_schema import CacheConfig
from edgeclient.config.setting import SettingError

LOCAL = (
    "redis://127.0.0.1",
    "redis://localhost:6379/0",
    "redis://[::1]:6379",
    "unix:///run/redis.sock",
    "rediss://127.0.0.1/",
)


def problems(**settings: object) -> list[str]:
    try:
        CacheConfig(**settings)  # type: ignore[arg-type]  # what is wrong is the point
    except SettingError as error:
        return error.problems
    return []


@pytest.mark.parametrize("url", LOCAL)
def test_redis_of_this_machine_needs_no_key(url: str) -> None:
    assert [] == problems(redis_url=url)


def test_redis_of_another_machine_needs_key_and_tls() -> None:
    found = problems(redis_url="redis://10.0.0.7")

    assert ["redis_key_file", "redis_url"] == [problem.partition(":")[0] for problem in found]
    assert all("redis_allow_plaintext" in problem for problem in found)
    assert [] == problems(redis_url="rediss://10.0.0.7", redis_key_file="/k")
    assert [] == problems(redis_url="redis://10.0.0.7", redis_allow_plaintext=True)


@pytest.mark.parametrize("url", ["redis://:secret@10.0.0.7", "rediss://user:secret@10.0.0.7"])
def test_password_in_the_url_is_refused_and_not_repeated(url: str) -> None:
    (found,) = problems(redis_url=url)

    assert "redis_password_file" in found
    assert "secret" not in found


@pytest.mark.parametrize(
    "url", ["10.0.0.7:6379", "http://10.0.0.7", "redis://", "redis://h:0", "redis://h:x", "redis://h/one", "unix://h"]
)
def test_what_is_no_redis_is_told(url: str) -> None:
    assert "write for instance rediss://" in problems(redis_url=url)[0]


def test_ca_goes_with_tls() -> None:
    assert "rediss://" in problems(redis_url="redis://127.0.0.1", redis_ca_file="/ca.pem")[0]


@pytest.mark.parametrize("prefix", ["", "a b", "a*", "ä", "x" * 65])
def test_prefix_is_a_word_without_wild_cards(prefix: str) -> None:
    assert problems(redis_url="redis://127.0.0.1", redis_prefix=prefix)[0].startswith("redis_prefix")


def test_default_keeps_answers_in_memory_only() -> None:
    config = CacheConfig()

    assert ("", "", "reproducible", False) == (config.directory, config.redis_url, config.default_policy, config.shared)
    assert config.max_bytes > 0
