from pathlib import Path
from typing import Any

import pytest
from builders import config, target

from edgeclient.config.catalogue import catalogue
from edgeclient.config.load import load
from edgeclient.config.row_schema import LimitConfig
from edgeclient.config.schema import UpstreamConfig
from edgeclient.config.setting import SettingError
from edgeclient.config.target_schema import TargetConfig
from edgeclient.config.targets import targets_of

CLOUD = "https://dashscope.aliyuncs.com/compatible-mode/v1"
JETSON = "http://192.168.7.20:8080/v1"


def problems(*rows: TargetConfig, **sections: Any) -> list[str]:
    with pytest.raises(SettingError) as caught:
        catalogue(config(targets=rows, **sections))
    return caught.value.problems


def row_problems(**fields: Any) -> list[str]:
    with pytest.raises(SettingError) as caught:
        TargetConfig(**({"name": "beijing", "base_url": CLOUD} | fields))
    return caught.value.problems


@pytest.mark.parametrize(
    ("fields", "begin"),
    [
        ({"name": ""}, "name: is missing"),
        ({"name": "a/b"}, "name: 'a/b' wants 1 to 40 characters of"),
        ({"name": "a@b"}, "name: 'a@b' wants 1 to 40 characters of"),
        ({"name": "n" * 41}, f"name: '{'n' * 41}' wants 1 to 40 characters of"),
        ({"account": "of us"}, "account: 'of us' wants 1 to 40 characters of"),
        ({"base_url": ""}, "base_url: is missing; give the endpoint"),
        ({"base_url": "dashscope"}, "base_url: 'dashscope' is no URL"),
        ({"base_url": "https://me:secret@host/v1"}, "base_url: must not hold a user or a password"),
        ({"base_url": JETSON}, f"base_url: {JETSON} would send the API key in plaintext"),
        ({"base_url": JETSON, "keyless": True}, f"base_url: {JETSON} would send"),
        (
            {"base_url": JETSON, "local": True, "api_key_file": "key", "names": {"*": "q"}},
            f"base_url: {JETSON} would send",
        ),
        ({"proxy": "proxy:3128"}, "proxy: 'proxy:3128' is neither environment nor none nor a URL"),
        ({"proxy": "http://me:secret@proxy"}, "proxy: must not hold a user or a password"),
        ({"api_key_file": "sk-0123456789"}, "api_key_file: wants the path of a file that holds the key"),
        ({"api_key_file": "key", "keyless": True}, "keyless: contradicts api_key_file"),
        ({"local": True, "names": {"*": "q"}}, "api_key_file: is missing; the key of the provider is not sent"),
        ({"local": True, "keyless": True}, "names: is missing; say what a local server serves"),
        ({"names": {"qwen-plus": " "}}, "names: a name is empty"),
        ({"names": {"qwen-plus": 5}}, "names: "),
        ({"models": "qwen-plus"}, "models: "),
        ({"tier": -1}, "tier: -1 is too small, the least is 0"),
        ({"tier": 101}, "tier: 101 is too large, the most is 100"),
        ({"tier": 0.5}, "tier: "),
        ({"weight": 0.0}, "weight: 0.0 is too small, the least is 0.001"),
        ({"weight": 1001.0}, "weight: 1001.0 is too large, the most is 1000"),
        ({"weight": float("nan")}, "weight: "),
        ({"price_factor": -2.0}, "price_factor: -2.0 is too small"),
        ({"price_factor": -0.5}, "price_factor: -0.5 is neither -1 nor 0 or more"),
        ({"max_in_flight": -1}, "max_in_flight: -1 is too small"),
    ],
)
def test_wrong_row_is_told(fields: dict[str, Any], begin: str) -> None:
    told = row_problems(**fields)
    assert [problem for problem in told if problem.startswith(begin)], told
    assert "secret" not in "".join(told)
    assert "0123456789" not in "".join(told)


@pytest.mark.parametrize(
    "fields",
    [
        {"base_url": JETSON, "local": True, "keyless": True, "names": {"*": "qwen3-8b"}},
        {"base_url": "http://127.0.0.1:8080/v1", "local": True, "keyless": True, "models": ["qwen-flash"]},
        {"base_url": "http://localhost:8080/v1"},
        {"name": "eu:1.a_b-C", "account": "n" * 40, "proxy": "http://proxy:3128", "price_factor": 0.0},
    ],
)
def test_right_row_is_taken(fields: dict[str, Any]) -> None:
    TargetConfig(**({"name": "beijing", "base_url": CLOUD} | fields))


def test_names_are_given_once() -> None:
    assert problems(target("a"), target("b"), target("a")) == [
        "targets[2].name: 'a' is the name of targets[0]; give each its own"
    ]


def test_local_targets_alone_are_no_route() -> None:
    told = problems(target("a", local=True, names={"*": "q"}), target("b", local=True, names={"*": "q"}))
    assert told == ["targets: every one is local; a local target stands in for others, so take local from at least one"]


def test_key_of_upstream_belongs_to_one_account() -> None:
    rows = [target("a", keyless=False), target("b", keyless=False), target("c", api_key_file="key"), target("d")]
    (told,) = problems(*rows)
    assert told == (
        "targets[1].api_key_file: is missing, and the key of [upstream] is that of targets[0], of another account;"
        " name a file, or give both the same account"
    )
    config(targets=[target("a", keyless=False, account="x"), target("b", keyless=False, account="x")])


@pytest.mark.parametrize(("setting", "value"), [("base_url", "https://relay/v1"), ("name", "relay"), ("keyless", True)])
def test_setting_of_upstream_that_is_not_used_is_told(setting: str, value: Any) -> None:
    assert problems(target("a"), upstream={setting: value}) == [
        f"upstream.{setting}: is not used beside [[targets]]; move it into a row of them"
    ]


def test_unknown_models_are_told_with_their_path() -> None:
    rows = [target("a"), target("b", models=["qwen-plsu", ""], names={"qwen-flsh": "x", "*": "y"})]
    assert [problem.partition(";")[0] for problem in problems(*rows)] == [
        "targets[1].models: there is no model 'qwen-plsu'",
        "targets[1].models: names no model",
        "targets[1].names.qwen-flsh: there is no model 'qwen-flsh'",
    ]


@pytest.mark.parametrize("chat", [{}, {"default_model": "usual", "aliases": {"Usual": "qwen-plus"}}])
def test_default_model_that_nobody_serves_is_told(chat: dict[str, Any]) -> None:
    here = target("jetson", local=True, names={"*": "q"})
    assert problems(target("a", models=["qwen-max"]), target("b", models=["qwen-flash"]), here, chat=chat) == [
        "chat.default_model: no target serves qwen-plus; name it in targets[...].models, or choose another one"
    ]
    for served in (["Qwen Plus"], []):
        catalogue(config(targets=[target("a", models=["qwen-max"]), target("b", models=served), here], chat=chat))


def test_name_of_a_model_that_is_not_asked_there_is_told() -> None:
    assert problems(target("a", models=["qwen plus"], names={"qwen-flash": "x", "Qwen_Plus": "y", "*": "z"})) == [
        "targets[0].names.qwen-flash: is none of targets[0].models, so it is not asked here; add it there"
    ]


def test_two_names_of_one_model_are_told() -> None:
    assert problems(target("a", names={"qwen-plus": "x", "Qwen Plus": "y"})) == [
        "targets[0].names.Qwen Plus: is the same model as qwen-plus; keep one of them"
    ]


def test_limit_of_an_account_that_there_is_not_is_told() -> None:
    limits = [LimitConfig(model="*", account="a"), LimitConfig(model="*", account="of-b"), LimitConfig(model="*")]
    config(targets=[target("a"), target("b", account="of-b")], limits=limits)
    assert problems(target("a"), target("c"), limits=limits) == [
        "limits[1].account: no target is of the account 'of-b'; there is a, c"
    ]
    config(limits=[LimitConfig(model="*", account="dashscope")])
    with pytest.raises(SettingError, match="there is dashscope"):
        config(limits=[LimitConfig(model="*", account="b")])


@pytest.mark.parametrize(("wanted", "there_is"), [("c", "a, b"), ("jetson", "a, b")])
def test_half_price_at_a_target_that_there_is_not_is_told(wanted: str, there_is: str) -> None:
    rows = [target("a"), target("b"), target("jetson", local=True, names={"*": "q"})]
    config(targets=rows, half_price={"target": "b"})
    assert problems(*rows, half_price={"target": wanted}) == [
        f"half_price.target: no target that is not local is called {wanted!r}; there is {there_is}"
    ]


def test_limits_of_one_model_differ_by_account() -> None:
    limits = [LimitConfig(model="*", account="a"), LimitConfig(model="*"), LimitConfig(model="*", account="a")]
    assert problems(target("a"), limits=limits) == [
        "limits[2].model: '* of a' has a row already, limits[0]; keep one of them"
    ]


def test_all_problems_of_a_file_are_told_at_once_with_their_lines(tmp_path: Path) -> None:
    file = tmp_path / "edge.toml"
    file.write_text(
        f"""[[targets]]
name = "beijing"
base_url = "{CLOUD}"
wieght = 2
[[targets]]
name = "beijing"
base_url = "{CLOUD}"
tier = 500
[[targets]]
name = "jetson"
base_url = "{JETSON}"
local = true
keyless = true
[targets.names]
qwen-plsu = "qwen3-8b"
""",
        encoding="utf-8",
    )
    with pytest.raises(SettingError) as caught:
        load(file=file, environ={}, overrides={})
    assert caught.value.problems == [
        f"targets[0].wieght is not a setting; did you mean targets[0].weight (set in {file}:4)",
        f"targets[1].tier: 500 is too large, the most is 100 (set in {file}:8)",
        f"targets[1].name: 'beijing' is the name of targets[0]; give each its own (set in {file}:6)",
    ]
    file.write_text(file.read_text().replace("wieght", "weight").replace("500", "5").replace('"beijing"', '"b"', 1))
    with pytest.raises(SettingError) as caught:
        load(file=file, environ={}, overrides={})
    (told,) = caught.value.problems
    assert told.startswith("targets[1].api_key_file: is missing, and the key of [upstream]")


def test_rows_cannot_be_set_by_a_flag(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"targets\[0\].name: tables like this one can be set in a file only"):
        load(file=None, environ={}, overrides={"targets[0].name": "x"}, default_file=tmp_path / "none")


class TestTargetsOf:
    def test_without_rows_there_is_that_of_upstream(self) -> None:
        made = config(upstream={"name": "relay"})
        (only,) = targets_of(made, catalogue(made))
        assert only.upstream is made.upstream
        assert (only.name, only.account, only.path, only.price_factor) == ("relay", "relay", "upstream", 1.0)
        assert only.serves("anything") == "anything"

    def test_rows_take_from_upstream_what_they_leave_open(self) -> None:
        upstream: dict[str, Any] = {
            "api_key_file": "/key",
            "ca_file": "/ca",
            "proxy": "http://p:1",
            "connect_timeout_s": 3.0,
        }
        rows = [
            target("plain", keyless=False),
            target(
                "own", api_key_file="/own", ca_file="/other", proxy="none", http1=True, max_in_flight=7, account="x"
            ),
            target("jetson", local=True, models=["qwen-flash"]),
        ]
        made = config(targets=rows, upstream=upstream)
        plain, own, jetson = targets_of(made, catalogue(made))
        assert plain.upstream == UpstreamConfig(**(upstream | {"name": "plain", "base_url": rows[0].base_url}))
        assert (own.upstream.api_key_file, own.upstream.ca_file, own.upstream.proxy) == ("/own", "/other", "none")
        assert (own.upstream.http1, own.upstream.max_in_flight, own.account) == (True, 7, "x")
        assert (jetson.upstream.api_key_file, jetson.upstream.proxy, jetson.upstream.http1) == ("", "none", True)
        assert (jetson.upstream.keyless, jetson.price_factor, own.price_factor) == (True, 0.0, 1.0)

    def test_order_is_that_of_the_tiers_with_local_ones_last(self) -> None:
        rows = [
            target("jetson", local=True, names={"*": "q"}),
            target("far", tier=2),
            target("near"),
            target("nearby"),
        ]
        made = config(targets=rows)
        found = targets_of(made, catalogue(made))
        assert [each.name for each in found] == ["near", "nearby", "far", "jetson"]
        assert [each.path for each in found] == ["targets[2]", "targets[3]", "targets[1]", "targets[0]"]

    @pytest.mark.parametrize(
        ("fields", "served"),
        [
            ({}, {"qwen-plus": "qwen-plus", "qwen-max": "qwen-max"}),
            ({"models": ["Qwen Plus"]}, {"qwen-plus": "qwen-plus", "qwen-max": None}),
            ({"names": {"Qwen Plus": "there"}}, {"qwen-plus": "there", "qwen-max": "qwen-max"}),
            ({"names": {"qwen-plus": "there", "*": "any"}}, {"qwen-plus": "there", "qwen-max": "any"}),
            ({"models": ["qwen-max"], "names": {"*": "any"}}, {"qwen-plus": None, "qwen-max": "any"}),
            ({"local": True, "names": {"qwen-plus": "there"}}, {"qwen-plus": "there", "qwen-max": None}),
            ({"local": True, "names": {"*": "any"}}, {"qwen-plus": "any", "qwen-max": "any"}),
            ({"local": True, "models": ["qwen-max"]}, {"qwen-plus": None, "qwen-max": "qwen-max"}),
            ({"local": True, "models": ["qwen-max"], "names": {"qwen-max": "q"}}, {"qwen-plus": None, "qwen-max": "q"}),
        ],
    )
    def test_models_are_served_by_the_names_that_they_have_there(
        self, fields: dict[str, Any], served: dict[str, str | None]
    ) -> None:
        made = config(targets=[target("a", **fields), target("b")])
        found = next(each for each in targets_of(made, catalogue(made)) if each.name == "a")
        assert {model: found.serves(model) for model in served} == served

    def test_price_factor_zero_is_kept(self) -> None:
        made = config(targets=[target("a", price_factor=0.0), target("b", price_factor=1.5)])
        assert [each.price_factor for each in targets_of(made, catalogue(made))] == [0.0, 1.5]


def test_server_of_ones_own_needs_no_key_and_no_tls() -> None:
    UpstreamConfig(base_url=JETSON, keyless=True)
    with pytest.raises(SettingError, match="would send the API key in plaintext"):
        UpstreamConfig(base_url=JETSON)
    with pytest.raises(SettingError, match="keyless: contradicts api_key_file"):
        UpstreamConfig(base_url=JETSON, keyless=True, api_key_file="/key")
