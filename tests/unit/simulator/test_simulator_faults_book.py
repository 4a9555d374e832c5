from dataclasses import dataclass
from pathlib import Path

import pytest

from edgeclient.simulator.fault_syntax import fault_of_flag, faults_of_file, faults_of_json
from edgeclient.simulator.faults import EFFECTS, Fault, FaultBook
from edgeclient.simulator.origin import Kind
from edgeclient.simulator.rule_syntax import RuleSyntaxError


@dataclass(frozen=True, kw_only=True)
class Facts:
    path: str = "/v1/chat/completions"
    model: str = "qwen-plus"
    stream: bool = False
    text: str = "hello"
    method: str = "POST"
    call: str = "live"
    custom_id: str = ""
    line: int | None = None


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def book(*faults: Fault, seed: int = 1, clock: Clock | None = None) -> FaultBook:
    made = FaultBook(seed=seed, clock=clock or Clock())
    made.add(*faults)
    return made


def hits(made: FaultBook, times: int, facts: Facts | None = None) -> list[bool]:
    return [made.pick(facts or Facts()) is not None for _ in range(times)]


def test_nth_hits_once() -> None:
    assert hits(book(Fault(kind="hang", nth=3)), 4) == [False, False, True, False]


def test_every_hits_each_kth() -> None:
    assert hits(book(Fault(kind="hang", every=2)), 4) == [False, True, False, True]


def test_count_bounds_the_hits() -> None:
    assert hits(book(Fault(kind="hang", count=2)), 3) == [True, True, False]


def test_probability_is_repeatable_by_seed() -> None:
    rule = Fault(kind="hang", probability=0.5)

    assert hits(book(rule), 100) == hits(book(rule), 100)
    assert 20 < sum(hits(book(rule), 100)) < 80
    assert hits(book(rule, seed=1), 100) != hits(book(rule, seed=2), 100)


@pytest.mark.parametrize(
    "facts", [Facts(model="qwen-max"), Facts(stream=True), Facts(text="other"), Facts(path="/v1/models")]
)
def test_filter_keeps_other_requests_out_of_the_count(facts: Facts) -> None:
    made = book(Fault(kind="hang", model="qwen-p*", stream=False, text="hell", path="*/chat/completions", nth=1))

    assert made.pick(facts) is None
    assert made.pick(Facts()) is not None


@pytest.mark.parametrize(
    ("rule", "hit", "missed"),
    [
        (Fault(kind="hang", method="GET"), Facts(method="GET"), Facts()),
        (Fault(kind="hang", call=Kind.BATCH_FILE), Facts(call="batch_file"), Facts()),
        (Fault(kind="hang", custom_id="job-1*"), Facts(custom_id="job-17"), Facts(custom_id="job-2")),
        (Fault(kind="hang", line=3), Facts(line=3), Facts()),
    ],
)
def test_rule_finds_calls_of_one_way_and_lines_of_a_batch(rule: Fault, hit: Facts, missed: Facts) -> None:
    assert [True] == hits(book(rule), 1, hit)
    assert [False] == hits(book(rule), 1, missed)


def test_period_runs_from_the_moment_the_rule_was_added() -> None:
    clock = Clock()
    made = book(Fault(kind="hang", from_s=10, to_s=20), clock=clock)
    seen = []
    for now_s in (100, 110, 119.9, 120):
        clock.now_s = now_s
        seen.append(made.pick(Facts()) is not None)

    assert seen == [False, True, True, False]


def test_first_rule_wins_and_later_rules_still_count() -> None:
    made = book(Fault(kind="hang", nth=1), Fault(kind="close", nth=2))

    assert [fault.kind for fault in (made.pick(Facts()), made.pick(Facts())) if fault] == ["hang", "close"]


def test_rules_can_be_removed_and_cleared() -> None:
    made = book(Fault(kind="hang"), Fault(kind="close"))

    assert (made.remove(1), made.remove(1)) == (True, False)
    assert [armed.id for armed in made.armed()] == [2]
    made.clear()
    assert made.pick(Facts()) is None


@pytest.mark.parametrize(
    ("over", "part"),
    [
        ({"kind": "nonsense"}, "nonsense"),
        ({"probability": 1.5}, "probability"),
        ({"nth": 0}, "nth"),
        ({"delay_s": -1}, "delay_s"),
        ({"h2_code": "OOPS"}, "h2_code"),
        ({"retry_after": "soon"}, "retry_after"),
    ],
)
def test_impossible_rule_is_refused_by_its_field(over: dict[str, object], part: str) -> None:
    with pytest.raises(ValueError, match=part):
        Fault(**({"kind": "hang"} | over))  # type: ignore[arg-type]  # wrong on purpose


def test_flag_is_read_with_types() -> None:
    assert Fault(kind="limit_requests", every=5, probability=0.5, stream=True, retry_after="2") == fault_of_flag(
        "limit_requests, every=5, probability=0.5, stream=true, retry_after=2"
    )


@pytest.mark.parametrize("flag", ["nonsense", "hang,nth", "hang,nth=x", "hang,colour=red"])
def test_wrong_flag_is_quoted_in_the_error(flag: str) -> None:
    with pytest.raises(RuleSyntaxError, match=flag.split(",", maxsplit=1)[0]):
        fault_of_flag(flag)


def test_toml_and_json_files_give_the_same_rules(tmp_path: Path) -> None:
    toml, json = tmp_path / "f.toml", tmp_path / "f.json"
    toml.write_text('[[faults]]\nkind = "stall"\nafter_chunks = 3\n[[faults]]\nkind = "hang"\nnth = 2\n')
    json.write_text('[{"kind": "stall", "after_chunks": 3}, {"kind": "hang", "nth": 2}]')

    assert [Fault(kind="stall", after_chunks=3), Fault(kind="hang", nth=2)] == faults_of_file(toml)
    assert faults_of_file(json) == faults_of_file(toml)


def test_wrong_file_names_the_rule_and_the_field(tmp_path: Path) -> None:
    path = tmp_path / "f.toml"
    path.write_text('[[faults]]\nkind = "hang"\n[[faults]]\nkind = "hang"\nnht = 2\n')

    with pytest.raises(RuleSyntaxError, match=r"f\.toml: rule 2: .*nht"):
        faults_of_file(path)


def test_every_effect_has_one_sentence() -> None:
    assert all(sentence.endswith(".") for sentence in EFFECTS.values())
    assert faults_of_json(b'{"kind": "hang"}', where="test") == [Fault(kind="hang")]
