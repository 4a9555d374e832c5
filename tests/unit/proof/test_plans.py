"""A campaign that found something can be run again alone: its plan comes from its seed and from nothing else."""

import random

from proof.campaign import Plan
from proof.campaigns import plans
from proof.devices import _promise


def test_kills_are_spread_without_one_lost() -> None:
    planned = plans(120, like=Plan(kills=50, seed=5))

    assert [(50, 5), (50, 6), (20, 7)] == [(plan.kills, plan.seed) for plan in planned]


def test_plan_of_a_seed_is_the_same_wherever_it_stands() -> None:
    for plan in plans(1000, like=Plan(kills=50, seed=1)):
        assert [plan] == plans(50, like=Plan(kills=50, seed=plan.seed))


def test_some_nodes_have_one_device_and_most_have_all() -> None:
    devices = [plan.devices for plan in plans(400, like=Plan(kills=50, seed=1))]

    assert [6, 6, 6, 1, 6, 6, 6, 1] == devices


def test_what_a_device_asks_comes_from_its_seed() -> None:
    first, again, other = (
        [_promise(random.Random(seed), f"2-{number}", mark="q-1-") for number in range(5)] for seed in (1, 1, 2)
    )

    assert first == again
    assert first != other
    assert all(promise.text.startswith(f"q-1-{promise.key.removeprefix('k')}-") for promise in first)
