import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgeclient.config.layers import defaults
from edgeclient.config.load import Loaded, load
from edgeclient.config.models import built_in_models
from edgeclient.config.notation import as_key, as_toml
from edgeclient.config.origins import Origin, Source
from edgeclient.config.row_schema import PriceConfig
from edgeclient.config.schema import SECTIONS, Config
from edgeclient.config.setting import SettingError
from edgeclient.core.models import Thinking

NOWHERE = Path("/nowhere/edgeclient.toml")
Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_file(text: str) -> Path:
        path = tmp_path / "edge.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write_file


def loaded(
    file: Path | None = None, environ: dict[str, str] | None = None, overrides: dict[str, str] | None = None
) -> Loaded:
    return load(file=file, environ=environ or {}, overrides=overrides or {}, default_file=NOWHERE)


def problems(
    file: Path | None = None, environ: dict[str, str] | None = None, overrides: dict[str, str] | None = None
) -> list[str]:
    with pytest.raises(SettingError) as caught:
        loaded(file, environ, overrides)
    return caught.value.problems


def test_nothing_given_is_the_defaults() -> None:
    result = loaded()
    assert Config(models=built_in_models()) == result.config
    assert {Origin()} == set(result.origins.values())
    assert result.file is None


def test_flag_beats_environment_beats_file_beats_default(write: Write) -> None:
    file = write("[upstream]\nname = 'a'\nmax_attempts = 2\nretry_max_s = 9\n")
    result = loaded(
        file,
        {"EDGECLIENT_UPSTREAM_NAME": "b", "EDGECLIENT_UPSTREAM_MAX_ATTEMPTS": "4"},
        {"upstream.name": "c"},
    )
    upstream = result.config.upstream
    assert (
        upstream.name,
        upstream.max_attempts,
        upstream.retry_max_s,
        upstream.retry_initial_s,
    ) == ("c", 4, 9.0, 0.5)
    assert Origin(source=Source.FLAG, name="--set upstream.name") == result.origins["upstream.name"]
    assert (
        Origin(source=Source.ENVIRONMENT, name="EDGECLIENT_UPSTREAM_MAX_ATTEMPTS")
        == result.origins["upstream.max_attempts"]
    )
    assert Origin(source=Source.FILE, name=str(file), line=4) == result.origins["upstream.retry_max_s"]
    assert Origin() == result.origins["upstream.retry_initial_s"]


def test_file_is_named_by_flag_then_variable_then_default(write: Write, tmp_path: Path) -> None:
    named = write("[node]\nid = 'named'\n")
    other = tmp_path / "other.toml"
    other.write_text("[node]\nid = 'other'\n", encoding="utf-8")
    variable = {"EDGECLIENT_CONFIG": str(other)}
    assert load(file=named, environ=variable, overrides={}).config.node.id == "named"
    assert load(file=None, environ=variable, overrides={}).config.node.id == "other"
    assert load(file=None, environ={}, overrides={}, default_file=named).file == named
    assert load(file=None, environ={"EDGECLIENT_CONFIG": ""}, overrides={}, default_file=named).file == named


def test_file_that_somebody_names_has_to_exist() -> None:
    assert problems(NOWHERE) == [f"{NOWHERE}: cannot be read: No such file or directory"]
    assert problems(environ={"EDGECLIENT_CONFIG": str(NOWHERE)}) == problems(NOWHERE)


def test_whole_number_is_a_number(write: Write) -> None:
    value = loaded(write("[ingress]\ndrain_s = 5\n")).config.ingress.drain_s
    assert isinstance(value, float)
    assert value == 5.0


@pytest.mark.parametrize(
    ("name", "text", "section", "setting", "value"),
    [
        ("EDGECLIENT_UPSTREAM_HTTP1", "Yes", "upstream", "http1", True),
        ("EDGECLIENT_INGRESS_REFLECTION", "off", "ingress", "reflection", False),
        ("EDGECLIENT_INGRESS_REFLECTION", "0", "ingress", "reflection", False),
        ("EDGECLIENT_INGRESS_MAX_REQUEST_BYTES", "1_048_576", "ingress", "max_request_bytes", 1_048_576),
        ("EDGECLIENT_INGRESS_HEARTBEAT_S", "2", "ingress", "heartbeat_s", 2.0),
        ("EDGECLIENT_CHAT_EXTRA_KEYS", "top_k, enable_search,", "chat", "extra_keys", ["top_k", "enable_search"]),
        ("EDGECLIENT_CHAT_EXTRA_KEYS", "", "chat", "extra_keys", []),
        ("EDGECLIENT_CHAT_ALIASES", "a=qwen-plus, b=qwen-max", "chat", "aliases", {"a": "qwen-plus", "b": "qwen-max"}),
        ("EDGECLIENT_ADMIN_LISTEN", "", "admin", "listen", ""),
    ],
)
def test_text_of_a_variable_becomes_the_type_of_its_setting(
    name: str, text: str, section: str, setting: str, value: object
) -> None:
    result = loaded(environ={name: text}).config
    assert value == getattr(getattr(result, section), setting)


def test_every_problem_is_told_at_once_with_its_place(write: Write) -> None:
    file = write(
        """[ingress]
listen = 5
default_timeout_s = 700

[upstraem]
x = 1

[upstream]
base_ur = "x"
connect_timeout_s = nan
proxy = "socks5://x"

[chat]
default_model = "qwen-plsu"
aliases = { a = "nothing-like-it" }
"""
    )
    environ = {"EDGECLIENT_INGRESS_DRAIN_S": "soon", "EDGECLIENT_UPSTREAM_BASEURL": "x"}
    assert problems(file, environ, {"log.level": "loud"}) == [
        f"upstraem is not a section; did you mean upstream (set in {file}:5)",
        f"upstream.base_ur is not a setting; did you mean upstream.base_url (set in {file}:9)",
        'ingress.drain_s: wants a number, such as 30.0, got "soon" (set by EDGECLIENT_INGRESS_DRAIN_S)',
        "EDGECLIENT_UPSTREAM_BASEURL is no variable of edgeclient; did you mean EDGECLIENT_UPSTREAM_BASE_URL",
        f'ingress.listen: wants text, such as "127.0.0.1:50051", got 5 (set in {file}:2)',
        f"ingress.default_timeout_s: 700 is above max_timeout_s, which is 600 (set in {file}:3)",
        f"upstream.connect_timeout_s: wants a number, such as 10.0, got nan (set in {file}:10)",
        (
            "upstream.proxy: 'socks5://x' is neither environment nor none nor a URL such as http://proxy:3128"
            f" (set in {file}:11)"
        ),
        "log.level: 'loud' is none of debug, info, warning, error (set by --set log.level)",
        (
            "chat.aliases.a: there is no model 'nothing-like-it'; add a table [models.<id>] for a new one"
            f" (set in {file}:15)"
        ),
        (
            "chat.default_model: there is no model 'qwen-plsu'; did you mean qwen-plus or qwen3.7-plus or qwen3.6-plus;"
            f" add a table [models.<id>] for a new one (set in {file}:14)"
        ),
    ]


def test_setting_is_not_blamed_for_a_partner_that_is_wrong(write: Write) -> None:
    file = write("[ingress]\ntls_certificate_file = 5\ntls_key_file = 'key.pem'\n")
    assert problems(file) == [f"ingress.tls_certificate_file: wants text, got 5 (set in {file}:2)"]


@pytest.mark.parametrize(
    ("path", "text", "problem"),
    [
        ("upstream.http1", "maybe", 'wants true or false (or yes, no, on, off, 1, 0), got "maybe"'),
        ("upstream.max_attempts", "2.5", 'wants a whole number, such as 3, got "2.5"'),
        ("upstream.max_attempts", "11", "11 is too large, the most is 10"),
        ("upstream.retry_max_s", "inf", "wants a number, such as 30.0, got inf"),
        ("chat.aliases", "a", 'wants pairs with commas between them, such as a=b,c=d, got "a"'),
    ],
)
def test_wrong_text_of_a_flag_is_refused(path: str, text: str, problem: str) -> None:
    assert problems(overrides={path: text}) == [f"{path}: {problem} (set by --set {path})"]


def test_flag_for_no_setting_is_refused() -> None:
    assert problems(overrides={"upstream.base_ur": "x"}) == [
        "upstream.base_ur is not a setting; did you mean upstream.base_url (set by --set upstream.base_ur)"
    ]
    assert problems(overrides={"listen": "x"}) == [
        "listen is not a setting; did you mean ingress.listen or admin.listen (set by --set listen)"
    ]
    assert "can be set in a file only" in problems(overrides={"models.x.tools": "1"})[0]


def test_secret_in_the_wrong_place_is_not_repeated(write: Write) -> None:
    file = write("[upstream]\napi_key = 'sk-secret'\napi_key_file = 'sk-secret'\nbase_url = 'https://u:sk-secret@x'\n")
    found = problems(file, {"EDGECLIENT_UPSTREAM_API_KEY": "sk-secret"}, {"upstream.proxy": "http://u:sk-secret@x:1"})
    assert len(found) == 5
    assert "sk-secret" not in "".join(found)


def test_variables_that_kubernetes_makes_for_a_service_are_left_alone() -> None:
    environ = {
        "EDGECLIENT_SERVICE_HOST": "10.0.0.1",
        "EDGECLIENT_SERVICE_PORT": "50051",
        "EDGECLIENT_SERVICE_PORT_GRPC": "50051",
        "EDGECLIENT_PORT": "tcp://10.0.0.1:50051",
        "EDGECLIENT_PORT_50051_TCP": "tcp://10.0.0.1:50051",
        "EDGECLIENT_PORT_50051_TCP_ADDR": "10.0.0.1",
        "EDGECLIENT_ADMIN_SERVICE_HOST": "10.0.0.2",
        "EDGECLIENT_ADMIN_PORT": "tcp://10.0.0.2:9464",
    }
    assert loaded(environ=environ).config == loaded().config
    assert problems(environ={"EDGECLIENT_INGRESS_PORT": "50051"})


def test_port_for_probes_needs_an_address_of_its_own() -> None:
    environ = {"EDGECLIENT_INGRESS_HEALTH_LISTEN": "127.0.0.1:9464"}
    taken = "admin.listen: 127.0.0.1:9464 is taken by ingress.health_listen; give each a port of its own"
    assert [taken] == problems(environ=environ)
    environ = {"EDGECLIENT_INGRESS_HEALTH_LISTEN": "0.0.0.0:50051"}
    (found,) = problems(environ=environ)
    assert found.startswith("ingress.health_listen: 0.0.0.0:50051 is taken by ingress.listen;")
    (found,) = problems(environ={"EDGECLIENT_INGRESS_HEALTH_LISTEN": "50052"})
    assert found.startswith(
        "ingress.health_listen: '50052' is no address with a port, write for instance 0.0.0.0:50052"
    )


def test_two_ports_at_one_address_are_refused() -> None:
    (found,) = problems(environ={"EDGECLIENT_ADMIN_LISTEN": "0.0.0.0:50051"})
    expected = "admin.listen: 0.0.0.0:50051 is taken by ingress.listen; give each a port of its own"
    assert f"{expected} (set by EDGECLIENT_ADMIN_LISTEN)" == found


def test_new_model_starts_from_nothing_and_a_known_one_keeps_its_facts(write: Write) -> None:
    file = write("[models.sim-echo]\naliases = ['echo']\n[models.'qwen3.8-max']\nmax_output_tokens = 5\n")
    result = loaded(file)
    echo, qwen = result.config.models[:2]
    assert (echo.id, echo.aliases, echo.thinking, echo.max_output_tokens) == ("sim-echo", ("echo",), Thinking.NEVER, 0)
    assert (qwen.id, qwen.max_output_tokens, qwen.thinking, qwen.takes_effort) == ("qwen3.8-max", 5, Thinking.ON, True)
    assert len(result.config.models) == len(built_in_models()) + 1
    assert (
        Origin(source=Source.FILE, name=str(file), line=4) == result.origins['models."qwen3.8-max".max_output_tokens']
    )


def test_table_of_a_known_model_in_other_spelling_takes_its_place(write: Write) -> None:
    models = loaded(write("[models.'Qwen/Qwen3-8B']\nthinking = 'off'\n")).config.models
    assert (models[0].id, models[0].thinking, models[0].max_output_tokens) == ("Qwen/Qwen3-8B", Thinking.OFF, 16_384)
    assert "qwen3-8b" not in {spec.id for spec in models}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[models.qwen3.8-max]\n", 'models.qwen3.8-max: a name with a dot needs quotes, write [models."qwen3.8-max"]'),
        ("[models.x]\ntoolz = true\n", "models.x.toolz is not a setting; did you mean models.x.tools"),
        ("[models.x]\nid = 'y'\n", "models.x.id is not a setting"),
        ("[models.x]\nthinking = 'maybe'\n", "models.x.thinking: wants one of never, off, on, always"),
        ("[models.x]\nthinking = []\n", "models.x.thinking: wants one of never, off, on, always"),
        ("[models.x]\nmodalities = ['smell']\n", 'models.x.modalities: "smell" is none of image, audio, video'),
        ("[models.x]\naliases = ['']\n", "models.x.aliases: wants names of 1 to 128 characters"),
        ("[models.x]\nmax_output_tokens = -1\n", "models.x.max_output_tokens: -1 is too small, the least is 0"),
        ("[models.x]\ntools = 1\n", "models.x.tools: wants true or false, got 1"),
        ("[models.'']\n", 'models."": wants a name of 1 to 128 characters'),
        ("[models.x]\n[models.X]\n", "models.X: is the same name as models.x; keep one of them"),
        ("[models]\nx = 1\n", "models.x: wants a table [models.x], got 1"),
        ("models = 1\n", "models: wants tables such as [models.my-model], got 1"),
        ("prices = 1\n", "prices: wants rows, each below a line [[prices]]"),
        ("[[prices]]\n", "prices[0].model: is missing; name the model that the price is for"),
        ("[[prices]]\nmodel = 'nothing-like-it'\n", "prices[0].model: there is no model 'nothing-like-it'"),
        ("[[prices]]\nmodel = 'qwen-plus'\ncost = 1\n", "prices[0].cost is not a setting"),
        ("ingress = 1\n", "ingress: wants a table [ingress], got 1"),
        ("[[ingress]]\n", "ingress: wants a table [ingress], got [{}]"),
    ],
)
def test_wrong_table_is_refused(write: Write, text: str, problem: str) -> None:
    found = problems(write(text))
    assert found[0].startswith(problem)
    assert len(found) == 1


def test_prices_are_rows(write: Write) -> None:
    file = write("[[prices]]\nmodel = 'qwen-plus'\ninput_per_million = 1\n[[prices]]\nmodel = 'Qwen Max'\n")
    result = loaded(file)
    assert (
        PriceConfig(model="qwen-plus", input_per_million=1.0),
        PriceConfig(model="Qwen Max"),
    ) == result.config.prices
    assert Origin(source=Source.FILE, name=str(file), line=5) == result.origins["prices[1].model"]


def test_wrong_price_does_not_change_the_numbers_of_others(write: Write) -> None:
    file = write("[[prices]]\nmodel = 5\n[[prices]]\nmodel = 'nothing-like-it'\n")
    first, second = problems(file)
    assert first == f"prices[0].model: wants text, got 5 (set in {file}:2)"
    assert second.startswith("prices[1].model: there is no model 'nothing-like-it'")
    assert second.endswith(f"(set in {file}:4)")


def test_price_may_be_the_price_of_a_snapshot_or_alias(write: Write) -> None:
    file = write("[chat.aliases]\nmine = 'qwen-plus'\n[[prices]]\nmodel = 'qwen3.8-max-0902'\n")
    assert loaded(file).config.prices[0].model == "qwen3.8-max-0902"


NAMES = st.sampled_from([*(path.rpartition(".")[2] for path in defaults()), "thinking", "model", "x", "", "a.b", "\n"])
TOML_VALUES = st.recursive(
    st.one_of(st.text(max_size=5), st.booleans(), st.integers(-5, 5), st.floats(), st.dates(), st.just("qwen-plus")),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=8,
)
TOML_FILES = st.dictionaries(
    st.sampled_from([*SECTIONS, "models", "prices", "x"]),
    st.one_of(
        TOML_VALUES,
        st.dictionaries(NAMES, TOML_VALUES, max_size=4),
        st.lists(st.dictionaries(NAMES, TOML_VALUES, max_size=4), max_size=3),
    ),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(table=TOML_FILES)
def test_any_file_is_a_configuration_or_a_list_of_sentences(write: Write, table: dict[str, object]) -> None:
    file = write("".join(f"{as_key(key)} = {as_toml(value)}\n" for key, value in table.items()))
    with suppress(SettingError):
        assert loaded(file).file == file


def test_loading_needs_none_of_the_heavy_libraries() -> None:
    code = (
        "import sys; from edgeclient.config.load import load; load(file=None, environ={}, overrides={});"
        "heavy = {'grpc', 'httpx', 'click', 'google.protobuf', 'asyncio', 'importlib.resources'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "[]"
