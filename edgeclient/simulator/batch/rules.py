"""The limits of File Batch as the provider publishes them, and the pace at which the simulated one works."""

from dataclasses import dataclass, fields
from typing import Final

MIB: Final = 1024 * 1024
GIB: Final = 1024 * MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRules:
    """What is accepted; the defaults are the provider's, a test lowers them.

    Attributes:
        file_bytes: Of one input file.
        file_lines: Requests of one input file.
        line_bytes: Of one request.
        files: Stored files of the account.
        stored_bytes: Of all of them.
        running: Batches that have not ended.
        test_file_bytes: The dry run's file.
        test_file_lines: The dry run's requests.
        test_running: Dry runs that have not ended.
        api_limits: Enforce the calls per second and minute of the management endpoints.
    """

    file_bytes: int = 500 * MIB
    file_lines: int = 50_000
    line_bytes: int = 6 * MIB
    files: int = 10_000
    stored_bytes: int = 100 * GIB
    running: int = 1_000
    test_file_bytes: int = MIB
    test_file_lines: int = 100
    test_running: int = 2
    api_limits: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be a limit, naming the field."""
        for field in fields(self):
            if (value := getattr(self, field.name)) < 1 and field.name != "api_limits":
                raise ValueError(f"batch {field.name} is {value}, must be at least 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchPace:
    """How fast batches go; without any wait a batch is done as fast as the machine can.

    Attributes:
        manual: Nothing moves but by `step`, `finish` and `expire`; for tests that look at every state.
        validating_s: From the creation to the check of the file.
        line_s: Each line.
        finalizing_s: From the last line to the results.
        listed_s: From the creation until a list shows it; `inf`: it is hidden until a test sets `Batch.listed_at_s`.
        parallel: Lines at a time.
        time_scale: So many seconds of a batch, completion window included, pass in one second of the clock.
    """

    manual: bool = False
    validating_s: float = 0.0
    line_s: float = 0.0
    finalizing_s: float = 0.0
    listed_s: float = 0.0
    parallel: int = 8
    time_scale: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what cannot be a pace, naming the field."""
        for name in ("validating_s", "line_s", "finalizing_s", "listed_s"):
            if (value := getattr(self, name)) < 0:
                raise ValueError(f"batch {name} is {value}, must not be negative (0 = no wait)")
        if self.parallel < 1:
            raise ValueError(f"batch parallel is {self.parallel}, must be at least 1")
        if self.time_scale <= 0:
            raise ValueError(f"batch time_scale is {self.time_scale}, must be above 0 (1 = real time)")
