"""A fault at each I/O call of a queue's life, one life for each: what was injected, and what became of it."""

import errno
import random
import shutil
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from simulated_disk import NEVER, Fault
from spool_life import Life, PowerCutError, life
from spool_witness import Refusal, what_is_wrong

from edgeclient.spool.sealing import Vault

ALL = frozenset(
    ("open", "delete", "rename", "lock", "access", "size", "read", "write", "overwrite", "allocate", "truncate", "sync")
)
NEEDS_SPACE = frozenset({"write", "allocate"})
A_WHILE = 25


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What kind of fault.

    Attributes:
        errno: How a call fails.
        calls: Which calls do.
        most: How many of them, one after the other.
        has_ballast: None fails once the queue has thrown its ballast off.
        is_last: No call happens any more, and nobody is told.
    """

    errno: int = errno.EIO
    calls: frozenset[str] = ALL
    most: int = NEVER
    has_ballast: bool = False
    is_last: bool = False


KINDS = {
    "EIO once": Kind(most=1),
    "EIO for a while": Kind(most=A_WHILE),
    "EIO until lifted": Kind(),
    "EIO of reads until lifted": Kind(calls=frozenset({"read"})),
    "ENOSPC once": Kind(errno=errno.ENOSPC, calls=NEEDS_SPACE, most=1),
    "ENOSPC for a while": Kind(errno=errno.ENOSPC, calls=NEEDS_SPACE, most=A_WHILE),
    "ENOSPC until lifted": Kind(errno=errno.ENOSPC, calls=NEEDS_SPACE),
    "ENOSPC but for the ballast": Kind(errno=errno.ENOSPC, calls=NEEDS_SPACE, has_ballast=True),
    "kill and power cut": Kind(is_last=True),
}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One fault: of which kind, and from which call on."""

    kind: str
    first: int


@dataclass
class Found:
    """What became of faults.

    Attributes:
        lives: By kind and call.
        injected: Calls that failed, by kind and call.
        told: Refusals by reason.
        outcomes: Lives by how they went.
        violations: Promises that were broken, with the plan that breaks them.
    """

    lives: Counter[tuple[str, str]] = field(default_factory=Counter)
    injected: Counter[tuple[str, str]] = field(default_factory=Counter)
    told: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)

    def tell(self, plan: Plan, refusals: list[Refusal]) -> None:
        """Who was told what in a life."""
        if KINDS[plan.kind].is_last:
            self.outcomes["lives cut off"] += 1
            return
        self.outcomes["lives with refusals" if refusals else "lives in which nobody noticed"] += 1
        self.told.update(f"told {refusal.reason}" for refusal in refusals)
        if KINDS[plan.kind].has_ballast:
            self.violations += [f"{plan}: {each}" for each in refusals if not each.is_of_room]

    def table(self) -> str:
        rows = [f"{'kind':28} {'first call':10} {'lives':>6} {'faults':>8}"]
        rows += [
            f"{kind:28} {call:10} {count:6} {self.injected[kind, call]:8}"
            for (kind, call), count in sorted(self.lives.items())
        ]
        rows += [f"{count:8} {what}" for what, count in (*self.outcomes.most_common(), *self.told.most_common())]
        return "\n".join([*rows, f"{len(self.violations):8} violations", *self.violations[:20]])


async def calls_of_a_life(root: Path, *, vault: Vault | None = None) -> list[str]:
    """The calls of a life without a fault, in their order."""
    async with life(root, vault=vault) as (queue, disk):
        await queue.run()
        return list(disk.trace)


def plans(trace: list[str], kind: str) -> Iterator[Plan]:
    """One for each call that can fail so."""
    for first, call in enumerate(trace, start=1):
        if call in KINDS[kind].calls:
            yield Plan(kind=kind, first=first)


def sampled(trace: list[str], kind: str, *, most: int) -> list[Plan]:
    """Some of them, the same each time, of each name of a call as many."""
    rng = random.Random(kind)
    by_call: dict[str, list[Plan]] = {}
    for plan in plans(trace, kind):
        by_call.setdefault(trace[plan.first - 1], []).append(plan)
    return [plan for each in by_call.values() for plan in rng.sample(each, min(most, len(each)))]


async def campaign(root: Path, chosen: Iterable[Plan], *, vault: Vault | None = None) -> Found:
    """A life for each plan; what one breaks does not end the others."""
    found = Found()
    for number, plan in enumerate(chosen):
        folder = root / str(number)
        try:
            await _lived(folder, plan, found, vault)
        except Exception as error:  # noqa: BLE001  it is told with its plan
            where = traceback.extract_tb(error.__traceback__)[-1]
            found.violations.append(f"{plan}: {type(error).__name__} in {where.name}, line {where.lineno}: {error}")
        shutil.rmtree(folder, ignore_errors=True)
    return found


async def _lived(root: Path, plan: Plan, found: Found, vault: Vault | None) -> None:
    kind, hit = KINDS[plan.kind], list[str]()
    async with life(root, vault=vault) as (queue, disk):
        if kind.is_last:
            disk.power_ends_at = plan.first
        else:
            disk.fault = fault_of(plan, hit, queue)
        try:
            with suppress(PowerCutError):
                await queue.run()
        finally:
            disk.fault = lambda _number, _call: None
            hit = hit or disk.trace[plan.first - 1 : plan.first]
            found.injected.update((plan.kind, call) for call in hit)
            found.lives[plan.kind, hit[0] if hit else "none"] += 1
        refusals = list(queue.witness.refusals)
        queue.picture("after it all")
        if not kind.is_last:
            await queue.goes_on()
        await queue.power_cut(random.Random(plan.first))
    found.tell(plan, refusals)
    found.outcomes["salvages"] += queue.salvages
    for picture in queue.pictures:
        wrong = await what_is_wrong(picture.root, picture.known, vault=vault)
        found.violations += [f"{plan}: {picture.of}: {each}" for each in wrong]


def fault_of(plan: Plan, hit: list[str], queue: Life) -> Fault:
    """What the disk does; the calls that it fails are noted."""
    kind = KINDS[plan.kind]

    def fault(number: int, call: str) -> int | None:
        if number < plan.first or call not in kind.calls or len(hit) >= kind.most:
            return None
        if kind.has_ballast and call == "write" and not _ballast_bytes(queue.bench.directory):
            return None
        hit.append(call)
        return kind.errno

    return fault


def _ballast_bytes(directory: Path) -> int:
    ballast = directory / "ballast"
    return ballast.stat().st_size if ballast.exists() else 0
