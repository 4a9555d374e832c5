"""The wiring of the half-price interfaces: each batch depends on the way to its own target."""

import random

import builders
import pytest
from fakes.clock import FakeClock

from edgeclient.config.catalogue import catalogue
from edgeclient.config.schema import Config
from edgeclient.config.targets import targets_of
from edgeclient.core.events import Event, Uplink
from edgeclient.deferral import Deferral, deferral
from edgeclient.policy.pricing import PriceTable
from edgeclient.upstream.endpoint import Endpoint, endpoint_of


def ignore(_event: Event) -> None:
    """What is observed is not what is tried here."""


def made(config: Config) -> tuple[Deferral, dict[str, Endpoint]]:
    models, clock = catalogue(config), FakeClock()
    endpoints = [
        endpoint_of(settings, environ={}, observe=ignore, clock=clock, rng=random.Random(1))
        for settings in targets_of(config, models)
    ]
    wired = deferral(config, endpoints, models=models, prices=PriceTable(()), observe=ignore, environ={})
    return wired, {each.name: each for each in endpoints}


def lose(endpoint: Endpoint) -> None:
    endpoint.uplink.probe_lost("UPLINK_OFFLINE", "nobody is there")
    assert Uplink.OFFLINE is endpoint.uplink.state


@pytest.mark.parametrize(
    ("marked_id", "target"),
    [("", "singapore"), ("singapore/batch_1", "singapore"), ("beijing/batch_1", "beijing"), ("batch_1", "beijing")],
    ids=["new ones", "at home", "elsewhere", "of before there were rows"],
)
async def test_a_batch_looks_at_the_way_to_its_own_target(marked_id: str, target: str) -> None:
    rows = [builders.target("beijing"), builders.target("singapore", tier=1), builders.target("best", tier=2)]
    wired, endpoints = made(builders.config(targets=rows, half_price={"target": "singapore"}))
    endpoints["best"].uplink.probe_answered()
    for name, endpoint in endpoints.items():
        if name not in (target, "best"):
            endpoint.uplink.probe_answered()

    lose(endpoints[target])

    assert Uplink.OFFLINE is wired.uplink(marked_id)
    endpoints[target].uplink.probe_answered()
    assert Uplink.OFFLINE is not wired.uplink(marked_id)


async def test_a_batch_of_a_target_that_is_gone_is_asked_for_so_that_it_is_told() -> None:
    wired, endpoints = made(builders.config(targets=[builders.target("beijing")]))
    lose(endpoints["beijing"])

    assert Uplink.UNKNOWN is wired.uplink("moon/batch_1")


async def test_one_target_alone_has_all_batches() -> None:
    wired, endpoints = made(builders.config(upstream={"keyless": True}))
    lose(next(iter(endpoints.values())))

    assert {Uplink.OFFLINE} == {wired.uplink(""), wired.uplink("batch_1")}
