"""What a batch keeps. (The file is the subject, so there is one.)"""

import json
from pathlib import Path

import grpc
import pytest

from edgeclient.cli.batch_input import Item
from edgeclient.cli.batch_results import KeptResults, answered, failed
from edgeclient.cli.failure import Failure
from edgeclient.client import EdgeError, Violation
from edgeclient.v1 import chat_pb2

RESPONSE = chat_pb2.ChatResponse(id="r", message=chat_pb2.Message(content="答"))
ERROR = EdgeError(
    grpc.StatusCode.INVALID_ARGUMENT,
    "too hot",
    reason="INVALID_REQUEST",
    retry_after_s=1.23456,
    possibly_billed=True,
    violations=[Violation(field="temperature", description="too hot")],
)


def item(index: int = 0, content_hash: str = "h", name: str = "") -> Item:
    return Item(index=index, line=index + 1, content_hash=content_hash, name=name)


def test_line_of_an_answer() -> None:
    assert answered(item(name="mine"), "run", RESPONSE) == {
        "index": 0,
        "line": 1,
        "id": "mine",
        "hash": "h",
        "run": "run",
        "response": {"id": "r", "message": {"content": "答"}},
    }


def test_line_of_a_failure() -> None:
    assert failed(item(), "run", ERROR)["error"] == {
        "code": "INVALID_ARGUMENT",
        "message": "too hot",
        "reason": "INVALID_REQUEST",
        "field": "temperature",
        "retry_after_s": 1.235,
        "possibly_billed": True,
    }


def test_next_run_knows_what_was_done(tmp_path: Path) -> None:
    first = KeptResults(tmp_path / "out")
    first.write(answered(item(0), first.run, RESPONSE))
    first.write(failed(item(1), first.run, ERROR))
    first.close()
    second = KeptResults(tmp_path / "out")

    assert second.run == first.run
    assert second.earlier(item(0)) is True
    assert second.earlier(item(0, content_hash="changed")) is None
    assert second.earlier(item(1)) is False
    assert second.earlier(item(2)) is None
    second.close()


def test_last_line_of_an_index_stays_and_file_mode_too(tmp_path: Path) -> None:
    out = tmp_path / "out"
    results = KeptResults(out)
    out.chmod(0o640)
    results.write(failed(item(0), "run", ERROR))
    results.write(answered(item(1), "run", RESPONSE))
    results.write(answered(item(0), "run", RESPONSE))
    results.close()

    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [(line["index"], "response" in line) for line in lines] == [(1, True), (0, True)]
    assert out.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.iterdir()) == [out]


def test_symbolic_link_stays_a_link(tmp_path: Path) -> None:
    target = tmp_path / "target"
    link = tmp_path / "link"
    target.touch()
    link.symlink_to(target)
    results = KeptResults(link)
    results.write(failed(item(0), "run", ERROR))
    results.write(answered(item(0), "run", RESPONSE))
    results.close()

    assert link.is_symlink()
    assert len(target.read_text().splitlines()) == 1


@pytest.mark.parametrize("line", ["notes", "[]", "{}", '{"index": 0}', '{"index": 0, "hash": "h"}'])
def test_foreign_file_is_refused_unchanged(tmp_path: Path, line: str) -> None:
    out = tmp_path / "out"
    out.write_text(line + "\n")
    with pytest.raises(Failure, match="no result of a batch"):
        KeptResults(out)
    assert out.read_text() == line + "\n"
