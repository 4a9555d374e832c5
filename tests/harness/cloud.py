"""What reached the simulated cloud of all that devices asked; the node's own probes are left out."""

from edgeclient.simulator import Entry, Simulator

CHATS = "*/chat/completions"


def chats(sim: Simulator) -> list[Entry]:
    """The chats, in the order of their arrival."""
    return [entry for entry in sim.ledger.entries if entry.path.endswith("/chat/completions")]


async def arrived(sim: Simulator, count: int = 1) -> None:
    """Return when so many chats have arrived."""
    await sim.ledger.wait_until(lambda: len(chats(sim)) >= count)


async def idle(sim: Simulator) -> None:
    """Return when the cloud works on nothing."""
    await sim.ledger.wait_until(lambda: sim.ledger.totals.in_flight == 0)
