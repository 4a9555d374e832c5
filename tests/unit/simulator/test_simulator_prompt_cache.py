import pytest

from edgeclient.simulator.prompt_cache import BLOCK_TOKENS, PromptCache

PREFIX = [f" w{number}" for number in range(300)]


def cache(min_tokens: int | None = 128) -> PromptCache:
    return PromptCache(min_tokens=min_tokens, ttl_s=300)


def test_equal_beginning_is_a_hit_in_whole_blocks() -> None:
    made = cache()

    assert 0 == made.use("m", [*PREFIX, " first"], now_s=0)
    assert 256 == made.use("m", [*PREFIX, " second"], now_s=1)
    assert 256 == 300 // BLOCK_TOKENS * BLOCK_TOKENS


def test_difference_in_the_middle_ends_the_hit_there() -> None:
    made = cache()
    made.use("m", PREFIX, now_s=0)

    assert 128 == made.use("m", [*PREFIX[:150], " other", *PREFIX[151:]], now_s=1)


def test_difference_at_the_beginning_is_no_hit_at_all() -> None:
    made = cache()
    made.use("m", PREFIX, now_s=0)

    assert 0 == made.use("m", [" other", *PREFIX], now_s=1)


def test_models_have_caches_of_their_own() -> None:
    made = cache()
    made.use("m", PREFIX, now_s=0)

    assert 0 == made.use("n", PREFIX, now_s=1)


def test_hit_prolongs_the_life_of_its_blocks() -> None:
    made = cache()
    made.use("m", PREFIX, now_s=0)

    assert [256, 256, 0] == [made.use("m", PREFIX, now_s=now_s) for now_s in (299, 590, 900)]


@pytest.mark.parametrize(("min_tokens", "hit"), [(None, 0), (301, 0), (300, 0), (256, 256)])
def test_short_prefixes_and_a_cache_that_is_off_hit_nothing(min_tokens: int | None, hit: int) -> None:
    made = cache(min_tokens)
    made.use("m", PREFIX, now_s=0)

    assert hit == made.use("m", PREFIX, now_s=1)
