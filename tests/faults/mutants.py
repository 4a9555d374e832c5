"""What the rules about faults rest on, each taken away by a small change that has to turn a cell red."""

from typing import Final

from proof.mutants import Edit, Mutant

_UP: Final = "edgeclient/upstream"


def _mutant(name: str, file: str, old: str, new: str, *tests: str) -> Mutant:
    return Mutant(name=name, edits=(Edit(file=file, old=old, new=new),), tests=tests)


def _cell(name: str) -> str:
    return f"tests/faults/test_matrix.py::test_fault_means_what_the_rule_book_says[{name}]"


def _move(name: str) -> str:
    return f"tests/faults/test_moves.py::test_call_moves_where_the_rule_book_lets_it_and_nowhere_else[{name}]"


def _cancel(place: str) -> str:
    return f"tests/faults/test_cancels.py::test_nothing_is_left_of_a_cancelled_request_after_100_ms[{place}]"


MUTANTS: Final = (
    _mutant(
        "what may be billed is not repeated",
        "edgeclient/policy/route.py",
        "return isinstance(error, Throttled | Unavailable) and (",
        "return isinstance(error, Throttled | Unavailable | Uncertain) and (",
        _cell("RST_STREAM internal / before headers / keyed unary"),
    ),
    _mutant(
        "a request that is left is reset",
        f"{_UP}/http2/connection.py",
        "            self._h2.reset_stream(stream.number, ErrorCodes.CANCEL)\n",
        "",
        _cancel("in mid-stream"),
    ),
    _mutant(
        "so it is before the headers",
        f"{_UP}/http2/connection.py",
        "        except BaseException:\n            stream.leave()\n            raise\n",
        "        finally:\n            pass\n",
        _cancel("before the headers"),
    ),
    _mutant(
        "a refused stream is free",
        f"{_UP}/http2/protocol.py",
        "    if code == ErrorCodes.REFUSED_STREAM:\n",
        "    if code == ErrorCodes.HTTP_1_1_REQUIRED:\n",
        _cell("REFUSED_STREAM / before headers / unary"),
    ),
    _mutant(
        "a broken connection is not",
        f"{_UP}/connection_fault.py",
        "    return Uncertain(\n        _INTERRUPTED, f",
        "    return Unavailable(\n        _INTERRUPTED, f",
        _cell("RST_STREAM internal / before headers / keyed unary"),
    ),
    Mutant(
        name="Retry-After is a lower bound",  # for the pause of the call itself, and for its lane
        edits=(
            Edit(file=f"{_UP}/retry.py", old="least_s=error.retry_after_s or 0.0", new="least_s=0.0"),
            Edit(
                file=f"{_UP}/tour.py",
                old="                return Standing.WAITS, told_s\n",
                new="                return Standing.SLOW, told_s\n",
            ),
        ),
        tests=(_cell("429, retry-after-ms / before headers / unary / once"),),
    ),
    _mutant(
        "a stream has to say that it ends",
        f"{_UP}/stream.py",
        "            return self._without_finish()\n",
        "            self._finish = chat_pb2.FINISH_REASON_STOP\n",
        _cell("end without finish reason / mid-body / unary"),
    ),
    _mutant(
        "silence runs out",
        f"{_UP}/patience.py",
        "            (self._silence_s, Limit.SILENCE),\n",
        "",
        _cell("stall between tokens / mid-body / stream"),
    ),
    _mutant(
        "so does the time for the first token",
        f"{_UP}/patience.py",
        "            (self._first_token_s, Limit.FIRST_TOKEN),\n",
        "",
        _cell("stall / before first token / unary"),
    ),
    _mutant(
        "who leaves the line has left it",
        "edgeclient/stages/dispatch/stage.py",
        "            self._turns.left(waiter)\n",
        "            pass\n",
        _cancel("line of dispatch"),
    ),
    _mutant(
        "a key remembers what was lost",
        "edgeclient/stages/call_record.py",
        "            if error is not None and error.possibly_billed:",
        "            if error is None:",
        _cell("RST_STREAM internal / before headers / keyed unary"),
    ),
    _mutant(
        "an uncertain job has ended",
        "edgeclient/core/job_feed.py",
        "job.state is JobState.UNCERTAIN or ",
        "",
        _cell("TCP reset / before headers / job, may be resent once"),
    ),
    _mutant(
        "a refused content is shown once",
        f"{_UP}/failures.py",
        "_CONTENT = _Meaning(Rejected,",
        "_CONTENT = _Meaning(Unavailable,",
        _cell("400 content inside a 200 / before first token / stream"),
    ),
    _mutant(
        "the address is looked at",
        f"{_UP}/source_address.py",
        "        if now_s < self._look_at_s:\n",
        "        if now_s:\n",
        "tests/faults/test_partitions.py",
    ),
    _mutant(
        "a job does not move after a time-out",
        "edgeclient/policy/route.py",
        "moves_after_timeout and not call.background and",
        "moves_after_timeout and",
        _move("stall / before headers / job"),
    ),
    _mutant(
        "nor does a keyed call",
        "edgeclient/policy/route.py",
        "not call.background and not call.request.idempotency_key\n        return Step(Scope.MODEL",
        "not call.background\n        return Step(Scope.MODEL",
        _move("stall / before headers / keyed unary"),
    ),
    _mutant(
        "a live call without a key does",
        "edgeclient/policy/route.py",
        "return Step(Scope.MODEL, Cause.TIMEOUT) if late and may_pay_twice else None",
        "return None",
        _move("stall / before headers / unary"),
    ),
    _mutant(
        "and is told that it may be billed twice",
        f"{_UP}/route.py",
        "            reply.response.possibly_billed_count = call.possibly_billed_count",
        "            pass",
        _move("stall / before headers / unary"),
    ),
)
