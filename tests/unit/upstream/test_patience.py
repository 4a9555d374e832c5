"""What has run out, and what that means for the bill: everything hangs on the moment at which the request left."""

import asyncio
from typing import Any

import builders
import pytest

from edgeclient.config.schema import UpstreamConfig
from edgeclient.core.deadline import Deadline
from edgeclient.core.errors import CallError, OutOfTime, Uncertain
from edgeclient.upstream.patience import Patience

GUARD_S = 20.0
SHORT_S = 0.05
TINY = {
    "headers_timeout_s": SHORT_S,
    "first_token_timeout_s": SHORT_S,
    "silence_timeout_s": SHORT_S,
    "total_timeout_s": SHORT_S,
    "connect_timeout_s": 30.0,
}


def patience(*, within_s: float = 60.0, streamed: bool = True, overdue_s: float = 0.0, **settings: Any) -> Patience:
    return Patience(
        UpstreamConfig(**(dict[str, Any](TINY) | settings)),
        call=builders.call(deadline=Deadline.after(within_s, now_s=0.0)),
        now_s=0.0,
        streamed=streamed,
        is_overdue=lambda waited_s: waited_s >= overdue_s,
    )


async def ends(waits: Patience, *steps: str) -> CallError:
    """Take these steps and wait for the end."""

    async def wait() -> None:
        async with asyncio.timeout(GUARD_S), waits:
            for step in steps:
                getattr(waits, step)()
            await asyncio.Event().wait()

    with pytest.raises(CallError) as caught:
        await wait()
    return caught.value


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
async def test_before_the_request_has_left_nothing_runs_out_but_the_deadline(*, streamed: bool) -> None:
    error = await ends(patience(within_s=4 * SHORT_S, streamed=streamed))

    assert isinstance(error, OutOfTime)
    assert not error.possibly_billed
    assert not error.shows_silence
    assert "before it could be sent" in error.message


@pytest.mark.parametrize(
    ("steps", "setting"),
    [
        (["sent"], "headers_timeout_s"),
        (["sent", "answered"], "first_token_timeout_s"),
        (["sent", "answered", "heard"], "silence_timeout_s"),
    ],
)
async def test_once_it_has_left_a_limit_that_runs_out_is_perhaps_paid_for(steps: list[str], setting: str) -> None:
    others: dict[str, Any] = {name: 60.0 for name in TINY if name != setting}

    error = await ends(patience(**others), *steps)

    assert isinstance(error, Uncertain)
    assert setting in error.message


@pytest.mark.parametrize(
    ("steps", "overdue_s", "silence"),
    [
        (["sent"], 0.0, True),
        (["sent"], 60.0, False),
        (["sent", "answered"], 0.0, False),
        ([], 0.0, False),
    ],
    ids=["nothing came", "nothing came, but it was not long", "headers came", "not sent"],
)
async def test_deadline_that_ends_a_long_silence_says_so(steps: list[str], overdue_s: float, *, silence: bool) -> None:
    long: dict[str, Any] = dict.fromkeys(TINY, 60.0)

    error = await ends(patience(within_s=SHORT_S, overdue_s=overdue_s, **long), *steps)

    assert isinstance(error, OutOfTime)
    assert silence is error.shows_silence
