"""`python tests/cluster`: the manifests on a real control plane with six fake nodes, and a table of what came of them.

The first run builds the control plane, in about ten minutes of one core; the next ones begin at once. It needs Go, etcd
(`apt-get install etcd-server`) and kubectl, and listens on loopback only.
"""

import argparse
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cluster.bad_input import MISTAKES
from cluster.build import RELEASE, MissingToolError, control_plane
from cluster.kubelets import Kubelets
from cluster.overlays import PROMISES, without_promise
from cluster.plane import ControlPlane, running
from cluster.table import mistake_row, print_mistakes, print_trials, trial_row
from cluster.trial import extras, label, tried


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python tests/cluster", description="The manifests on a real control plane.")
    parser.add_argument("--release", default=RELEASE, help=f"of Kubernetes (default {RELEASE})")
    parser.add_argument("--as-of", default="", metavar="MINOR", help="behaves as this older release, such as 1.33")
    parser.add_argument("--build-only", action="store_true", help="build the control plane, and no more")
    parser.add_argument("--keep", action="store_true", help="stay up afterwards, for trying by hand")
    parser.add_argument("words", nargs="*", help="only what has one of these words in its name")
    return parser.parse_args()


def main() -> int:
    """Run it; returns 1 if something is not as promised."""
    arguments = _arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # or the control plane would outlive its proof
    try:
        binaries = control_plane(arguments.release)
        if arguments.build_only:
            return 0
        with tempfile.TemporaryDirectory(prefix="edgeclient-cluster-") as folder:
            return _proved(binaries, Path(folder), arguments)
    except (MissingToolError, TimeoutError, subprocess.CalledProcessError) as error:
        print(f"nothing is proved: {error}", file=sys.stderr)  # noqa: T201
        return 1
    except KeyboardInterrupt:
        print("interrupted: nothing is proved", file=sys.stderr)  # noqa: T201
        return 130


def _proved(binaries: Path, folder: Path, arguments: argparse.Namespace) -> int:
    with running(binaries, folder, emulated=arguments.as_of) as plane, Kubelets(plane) as kubelets:
        label(plane)
        failed = _trials(plane, arguments.words) + _mistakes(plane, arguments.words) + _extras(plane, arguments.words)
        failed += [f"there is no promise about the overlay {name}" for name in without_promise()]
        failed += kubelets.failed
        for text in failed:
            print(f"not as promised: {text}")  # noqa: T201
        if arguments.keep:
            print(f"KUBECONFIG={plane.kubeconfig}; Ctrl-C ends it", flush=True)  # noqa: T201
            signal.pause()
    return 1 if failed else 0


def _trials(plane: ControlPlane, words: list[str]) -> list[str]:
    promises = [promise for promise in PROMISES if _meant(promise.name, words)]
    seen = [(promise, tried(plane, promise)) for promise in promises]
    print_trials([trial_row(promise, each) for promise, each in seen])
    return [f"{promise.name}: {problem}" for promise, each in seen for problem in each.problems]


def _mistakes(plane: ControlPlane, words: list[str]) -> list[str]:
    rows, failed = [], []
    for mistake in MISTAKES:
        if not _meant(mistake.name, words):
            continue
        try:
            said = mistake.made(plane)
        except TimeoutError as error:
            said = str(error)
        rows.append(mistake_row(mistake, said))
        failed += [f"{mistake.name}: {word!r} is not said" for word in mistake.wanted if word not in said]
    print_mistakes(rows)
    return failed


def _extras(plane: ControlPlane, words: list[str]) -> list[str]:
    if not _meant("extras", words):
        return []
    taken, refused = extras(plane)
    print(f"accepted without any add-on: {', '.join(f'extras/{name}' for name in taken)}", end="\n\n")  # noqa: T201
    return refused


def _meant(name: str, words: list[str]) -> bool:
    return not words or any(word in name for word in words)


if __name__ == "__main__":
    sys.exit(main())
