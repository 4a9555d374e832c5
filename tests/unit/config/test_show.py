import json
from pathlib import Path

import pytest

from edgeclient.config.load import Loaded, load
from edgeclient.config.show import as_data, as_text

FILE = """[ingress]
listen = "127.0.0.1:50052"
[chat]
aliases = { "fast one" = "qwen flash" }
[models."Qwen/Qwen3-8B"]
aliases = ["small"]
[[prices]]
model = "qwen-plus"
input_per_million = 1
"""


TARGETS = """[[targets]]
name = "beijing"
base_url = "https://dashscope.aliyuncs.com/compatible-mode/v1"
[[targets]]
name = "singapore"
base_url = "https://dashscope-intl.aliyuncs.com/compatible-mode/v1"
api_key_file = "/run/other-key"
models = ["qwen-plus"]
names = { "qwen-plus" = "qwen-plus-us" }
[[targets]]
name = "jetson"
base_url = "http://192.168.7.20:8080/v1"
keyless = true
local = true
names = { "*" = "qwen3-8b" }
"""


@pytest.fixture
def loaded(tmp_path: Path) -> Loaded:
    file = tmp_path / "edge.toml"
    file.write_text(FILE, encoding="utf-8")
    return load(file=file, environ={"EDGECLIENT_LOG_LEVEL": "debug"}, overrides={"upstream.http1": "yes"})


def test_what_is_shown_loads_to_the_same_configuration(loaded: Loaded, tmp_path: Path) -> None:
    copy = tmp_path / "copy.toml"
    copy.write_text(as_text(loaded, api_keys={"dashscope": ""}), encoding="utf-8")
    assert loaded.config == load(file=copy, environ={}, overrides={}).config


def test_every_value_tells_where_it_comes_from(loaded: Loaded) -> None:
    lines = as_text(loaded, api_keys={"dashscope": "DASHSCOPE_API_KEY"}).splitlines()
    assert f"# file: {loaded.file}" in lines
    assert "# api key: found in DASHSCOPE_API_KEY" in lines
    assert f'listen                     = "127.0.0.1:50052"  # set in {loaded.file}:2' in lines
    assert "reflection                 = true               # default" in lines
    assert 'level  = "debug"  # set by EDGECLIENT_LOG_LEVEL' in lines
    assert any(line.startswith("http1 ") and line.endswith("# set by --set upstream.http1") for line in lines)
    assert f'[models."Qwen/Qwen3-8B"]  # set in {loaded.file}:5' in lines


def test_missing_key_is_told(loaded: Loaded) -> None:
    assert "# api key: missing\n" in as_text(loaded, api_keys={"dashscope": ""})


def test_targets_are_shown_with_their_keys_and_load_to_the_same(tmp_path: Path) -> None:
    file = tmp_path / "edge.toml"
    file.write_text(TARGETS, encoding="utf-8")
    loaded = load(file=file, environ={}, overrides={})
    places = {"beijing": "/run/key", "singapore": "", "jetson": None}
    text = as_text(loaded, api_keys=places)
    assert "# api key of beijing: found in /run/key\n# api key of singapore: missing\n" in text
    assert "# api key of jetson: none is wanted\n" in text
    assert as_data(loaded, api_keys=places)["targets"][2]["names"] == {"*": "qwen3-8b"}
    copy = tmp_path / "copy.toml"
    copy.write_text(text, encoding="utf-8")
    assert loaded.config == load(file=copy, environ={}, overrides={}).config


def test_data_is_json_with_the_same_values(loaded: Loaded) -> None:
    data = json.loads(json.dumps(as_data(loaded, api_keys={"dashscope": ""})))
    assert data["api_keys"] == {"dashscope": {"wanted": True, "found": False, "source": None}}
    assert data["settings"]["log"]["level"] == {
        "value": "debug",
        "source": "environment",
        "origin": "set by EDGECLIENT_LOG_LEVEL",
        "is_default": False,
    }
    assert [model["id"] for model in data["models"] if not model["built_in"]] == ["Qwen/Qwen3-8B"]
    assert data["models"][0]["thinking"] == "on"
    assert data["prices"][0]["model"] == "qwen-plus"
