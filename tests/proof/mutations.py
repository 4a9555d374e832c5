"""`python tests/proof --mutations`: do the tests notice when a promise is taken away?

Each mutant is applied to a copy of the sources, and the tests that are named for it run against that copy: they have to
fail, and all of them have to pass on the copy as it was. A run that does not get as far as a test counts as no failure.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from proof.mutants import MUTANTS, Mutant

ROOT = Path(__file__).parents[2]
_LIMIT_S = 600.0
_FAILED = re.compile(r"^FAILED (.+?)(?: - .*)?$", re.MULTILINE)
_GREEN, _RED = 0, 1  # exit codes of pytest; the others mean that it did not get as far as a verdict
_NOT_COPIED = shutil.ignore_patterns("__pycache__", "out", ".*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the tests said.

    Attributes:
        name: Of the mutant; "" for the sources as they are.
        caught_by: The first test that failed; "" if none has.
        problem: Why there is no verdict; "" if there is one.
        duration_s: How long it took.
    """

    name: str
    caught_by: str
    problem: str
    duration_s: float

    @property
    def is_as_it_should(self) -> bool:
        """Mutants are caught, and the sources as they are are not."""
        return not self.problem and bool(self.caught_by) == bool(self.name)


class _Copy:
    """A copy of the sources; one mutant at a time."""

    def __init__(self, folder: Path, root: Path) -> None:
        self._folder = folder
        for name in ("edgeclient", "tests", "protos"):
            shutil.copytree(root / name, folder / name, ignore=_NOT_COPIED)
        shutil.copy(root / "pyproject.toml", folder)

    def judge(self, mutant: Mutant) -> Verdict:
        """Apply it, run its tests, take it back."""
        before = mutant.apply(self._folder)
        try:
            return self.run(mutant.name, mutant.tests)
        finally:
            for path, text in before.items():
                path.write_text(text, "utf-8")

    def run(self, name: str, tests: Iterable[str]) -> Verdict:
        """Run tests on the copy as it is."""
        begun_s = time.monotonic()
        code, out = self._pytest(tests)
        failed = _FAILED.search(out) if code == _RED else None
        problem = "" if code == _GREEN or failed else f"pytest ended with {code}:\n{out[-2000:]}"
        return Verdict(
            name=name,
            caught_by=failed[1] if failed else "",
            problem=problem,
            duration_s=time.monotonic() - begun_s,
        )

    def _pytest(self, tests: Iterable[str]) -> tuple[int | None, str]:
        options = ("-q", "-x", "--no-header", "--tb=no", "-p", "no:cacheprovider")
        check = f"import edgeclient, sys; sys.exit(edgeclient.__path__[0] != {str(self._folder / 'edgeclient')!r})"
        environ = os.environ | {"PYTHONPATH": str(self._folder), "PYTHONDONTWRITEBYTECODE": "1"}
        if subprocess.run([sys.executable, "-c", check], cwd=self._folder, env=environ, check=False).returncode:
            return None, "the copy is not what would be tested"
        try:
            done = subprocess.run(
                [sys.executable, "-m", "pytest", *options, *tests],
                cwd=self._folder, env=environ, check=False, capture_output=True, text=True, timeout=_LIMIT_S,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return None, f"it took more than {_LIMIT_S:g} s"
        return done.returncode, done.stdout + done.stderr


def mutations(words: Sequence[str] = (), *, jobs: int, root: Path = ROOT, mutants: Sequence[Mutant] = MUTANTS) -> int:
    """Judge all mutants, or those whose names hold one of the words; prints a table and returns the exit code."""
    chosen = [mutant for mutant in mutants if not words or any(word in mutant.name for word in words)]
    tests = list(dict.fromkeys(test for mutant in chosen for test in mutant.tests))
    with tempfile.TemporaryDirectory(prefix="edgeclient-mutants-") as folder:
        copies: SimpleQueue[_Copy] = SimpleQueue()
        for number in range(jobs):
            copies.put(_Copy(Path(folder) / str(number), root))

        def judge(mutant: Mutant | None) -> Verdict:
            copy = copies.get()
            try:
                verdict = copy.run("", tests) if mutant is None else copy.judge(mutant)
            finally:
                copies.put(copy)
            _tell(verdict)
            return verdict

        with ThreadPoolExecutor(max_workers=jobs) as pool:
            verdicts = list(pool.map(judge, (None, *chosen)))
    bad = [verdict for verdict in verdicts if not verdict.is_as_it_should]
    print(f"{len(chosen)} mutants, {len(bad)} not as it should be" if bad else f"all {len(chosen)} mutants were caught")  # noqa: T201
    return 1 if bad else 0


_ONE_AT_A_TIME = threading.Lock()


def _tell(verdict: Verdict) -> None:
    name = verdict.name or "(nothing taken away)"
    said = verdict.problem or verdict.caught_by or ("SURVIVED" if verdict.name else "passed")
    if not verdict.name and verdict.caught_by:
        said = f"FAILED WITHOUT A MUTANT: {said}"
    with _ONE_AT_A_TIME:
        print(f"{name:<50} {verdict.duration_s:>5.0f} s  {said}", flush=True)  # noqa: T201  a program of its own
