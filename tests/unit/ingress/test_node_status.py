"""What the state of a node says of several targets."""

import builders
import pytest
from fakes.clock import FakeClock

from edgeclient.config.catalogue import catalogue
from edgeclient.core.callers import Callers
from edgeclient.core.events import Uplink
from edgeclient.core.route_events import Breaker
from edgeclient.ingress.inbound import Inbound
from edgeclient.ingress.node import NodeService, TargetView
from edgeclient.v1 import node_pb2

ON, HALF, OFF = Uplink.ONLINE, Uplink.DEGRADED, Uplink.OFFLINE


async def status_of(*views: TargetView) -> node_pb2.NodeStatus:
    config = builders.config()
    service = NodeService(
        node_id="n",
        version="1",
        config=config.ingress,
        catalogue=catalogue(config),
        callers=Callers(),
        clock=FakeClock(),
        active_calls=lambda: 0,
        targets=lambda: views,
    )
    inbound: Inbound = None  # type: ignore[assignment]  # the state is the same for everybody
    return (await service.get_node_status(node_pb2.GetNodeStatusRequest(), inbound)).status


def view(name: str, uplink: Uplink, since_s: float, **more: object) -> TargetView:
    return TargetView(name=name, host="h", protocol="h2", uplink=uplink, since_s=since_s, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("uplinks", "best", "since_s"),
    [
        ([(ON, 5)], "ONLINE", 5),
        ([(OFF, 9), (ON, 5), (ON, 3)], "ONLINE", 3),
        ([(HALF, 4), (OFF, 2)], "DEGRADED", 4),
        ([(OFF, 4), (OFF, 7)], "OFFLINE", 7),
    ],
    ids=["one", "since the first of the best", "the only one", "since the last was lost"],
)
async def test_best_target_speaks_for_the_node(uplinks: list[tuple[Uplink, float]], best: str, since_s: float) -> None:
    status = await status_of(*(view(str(number), *each) for number, each in enumerate(uplinks)))
    assert node_pb2.UplinkState.Name(status.uplink) == f"UPLINK_STATE_{best}"
    assert status.uplink_change_time.ToSeconds() == since_s


@pytest.mark.parametrize("state", Breaker)
async def test_each_target_tells_its_tier_and_whether_it_is_asked(state: Breaker) -> None:
    (target,) = (await status_of(view("beijing", ON, 5, tier=2, breaker=state))).targets

    assert target.tier == 2
    assert node_pb2.BreakerState.Name(target.breaker) == f"BREAKER_STATE_{state.name}"


async def test_each_target_tells_what_is_wrong_with_it() -> None:
    status = await status_of(
        view("beijing", OFF, 8, account="ours", problem="It cannot be reached"), view("jetson", ON, 3, local=True)
    )
    away, here = status.targets
    assert (away.account, away.problem, away.local) == ("ours", "It cannot be reached", False)
    assert (here.problem, here.local, here.uplink_change_time.ToSeconds()) == ("", True, 3)
