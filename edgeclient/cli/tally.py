"""Every line of a batch, accounted for: the sum of the counts is the number of lines."""

from collections import Counter
from dataclasses import dataclass, field

from edgeclient.cli.batch_input import Item
from edgeclient.cli.exit_codes import ExitCode
from edgeclient.cli.report import exit_code
from edgeclient.client import EdgeError

# A script should first hear of what a repeat can mend, then of what a person has to mend, then of wrong lines.
_ORDER = (
    ExitCode.UNAVAILABLE,
    ExitCode.TEMPORARY,
    ExitCode.NOT_PERMITTED,
    ExitCode.CONFIG,
    ExitCode.INTERNAL,
    ExitCode.DATA,
)
_SHOWN = 5


@dataclass(kw_only=True)
class Tally:
    """Counts of one run.

    Attributes:
        ok: Answered in this run.
        queued: Of these, taken over by the node as a job; their answers come later.
        skipped: Succeeded in an earlier run.
        skipped_failed: Failed in an earlier run and not tried again.
        failed: Failed in this run.
        not_done: Read but without result: the run ended before.
        first_failures: Some of the failures, for the eye.
    """

    ok: int = 0
    queued: int = 0
    skipped: int = 0
    skipped_failed: int = 0
    failed: int = 0
    not_done: int = 0
    first_failures: list[str] = field(default_factory=list)
    _codes: Counter[ExitCode] = field(default_factory=Counter)

    def fail(self, item: Item, error: EdgeError) -> None:
        """Count a failure."""
        self.failed += 1
        self._codes[exit_code(error)] += 1
        if len(self.first_failures) < _SHOWN:
            sentence = " ".join(error.message.split())
            place = "" if item.problem else f"line {item.line}: "
            self.first_failures.append(f"{place}{sentence} ({error.reason or error.code.name})")

    @property
    def exit_code(self) -> ExitCode:
        """For the script, as far as single lines decide."""
        return next(
            (code for code in _ORDER if self._codes[code]), ExitCode.DATA if self.skipped_failed else ExitCode.OK
        )

    def counts(self) -> dict[str, int]:
        """The counts by name."""
        names = ("ok", "queued", "skipped", "skipped_failed", "failed", "not_done")
        total = self.ok + self.skipped + self.skipped_failed + self.failed + self.not_done
        return {"total": total} | {name: getattr(self, name) for name in names}

    def sentence(self) -> str:
        """The counts for a person; what is zero is left out, except the successes."""
        counts = self.counts()
        parts = [f"{self.ok} ok"]
        if self.queued:
            parts[0] += f" ({self.queued} of them queued by the node)"
        if self.failed:
            parts.append(f"{self.failed} failed")
        if self.skipped:
            parts.append(f"{self.skipped} done before")
        if self.skipped_failed:
            parts.append(f"{self.skipped_failed} failed before (--retry-failed tries them again)")
        if self.not_done:
            parts.append(f"{self.not_done} not done")
        return f"{counts['total']} lines: {', '.join(parts)}"
