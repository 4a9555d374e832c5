"""`python tests/bench`: measure the daemon beside its floors; `command.py` says what comes in which order."""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])  # Python puts this folder there; its modules are called bench.*

from bench.command import main  # noqa: E402  the path has to be right first

sys.exit(main(sys.argv[1:]))
