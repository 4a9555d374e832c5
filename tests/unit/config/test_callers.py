"""Rows of callers and limits: what is wrong is told with its place, what is right is obeyed."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import builders
import pytest

from edgeclient.config.callers import callers
from edgeclient.config.catalogue import catalogue
from edgeclient.config.load import load
from edgeclient.config.row_schema import CallerConfig
from edgeclient.config.setting import SettingError
from edgeclient.v1 import chat_pb2

DIGEST = hashlib.sha256(b"secret").hexdigest()


@pytest.fixture
def problems(tmp_path: Path) -> Callable[[str], list[str]]:
    def of(text: str) -> list[str]:
        file = tmp_path / "edgeclient.toml"
        file.write_text(text, encoding="utf-8")
        with pytest.raises(SettingError) as caught:
            load(file=file, environ={}, overrides={})
        return caught.value.problems

    return of


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[[callers]]\n", "callers[0].name: is missing"),
        ("[[callers]]\nname = 'a b'\n", "callers[0].name: 'a b' wants 1 to 64 characters"),
        ("[[callers]]\nname = 'a'\ntoken_sha256 = ['hunter2']\n", "callers[0].token_sha256: wants 64 hex digits"),
        (f"[[callers]]\nname = '*'\ntoken_sha256 = ['{DIGEST}']\n", 'callers[0].name: "*" stands for callers without'),
        ("[[callers]]\nname = 'a'\nmodels = ['qwen-plsu']\n", "callers[0].models: there is no model 'qwen-plsu'; did"),
        ("[[callers]]\nname = 'a'\nmax_priority = 'top'\n", "callers[0].max_priority: 'top' is none of low, normal"),
        ("[[callers]]\nname = 'a'\n[[callers]]\nname = 'a'\n", "callers[1].name: 'a' has a row already, callers[0]"),
        ("[[callers]]\nname = 'a'\nbudget_currency = 'yuan'\n", "callers[0].budget_currency: 'yuan' is no ISO 4217"),
        ("[[callers]]\nname = 'a'\nrequests_per_minute = -1\n", "callers[0].requests_per_minute: -1 is too small"),
        ("[[limits]]\nmax_in_flight = 1\n", "limits[0].model: is missing"),
        ("[[limits]]\nmodel = 'qwen-plsu'\n", "limits[0].model: there is no model 'qwen-plsu'; did you mean qwen-plus"),
        ("[[limits]]\nmodel = '*'\n[[limits]]\nmodel = '*'\n", "limits[1].model: '*' has a row already, limits[0]"),
        ("[auth]\nrequired = true\n", "auth.required: nobody could call"),
        (
            f"[[callers]]\nname='a'\ntoken_sha256=['{DIGEST}']\n[[callers]]\nname='b'\ntoken_sha256=['{DIGEST}']\n",
            "callers[1].token_sha256: proves callers[0] already",
        ),
    ],
)
def test_wrong_row_is_told_with_its_place(problems: Callable[[str], list[str]], text: str, problem: str) -> None:
    (found,) = problems(text)
    assert found.startswith(problem)
    assert "hunter2" not in found


def test_rows_say_what_a_caller_may_do() -> None:
    rows = [
        CallerConfig(name="camera", models=["Qwen Plus"], max_priority="normal"),
        CallerConfig(name="*", max_priority="low"),
    ]
    config = builders.config(callers=rows)
    known = callers(config, catalogue(config))

    assert known.rules("camera").may_ask("qwen-plus")
    assert not known.rules("camera").may_ask("qwen-flash")
    assert known.rules("camera").max_priority == chat_pb2.PRIORITY_NORMAL
    assert known.rules("stranger").may_ask("qwen-flash")
    assert known.rules("stranger").max_priority == chat_pb2.PRIORITY_LOW
