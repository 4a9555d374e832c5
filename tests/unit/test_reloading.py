"""Every setting that is said to change while the daemon runs does, and what counted before goes on counting.

Each of them has a question here whose answer depends on it. A house that runs with one value and is given another has
to answer as one does that was started with the other.
"""

import hashlib
import io
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any, cast

import builders
import pytest
from fakes.clock import FakeClock
from unit.telemetry.sample_events import answered

from edgeclient.config.callers import callers
from edgeclient.config.catalogue import catalogue
from edgeclient.config.row_schema import ROWS, CallerConfig, LimitConfig, PriceConfig
from edgeclient.config.schema import SECTIONS, Config
from edgeclient.config.setting import reloads
from edgeclient.config.target_schema import TargetConfig
from edgeclient.core.errors import CallError
from edgeclient.counting import counts
from edgeclient.ingress.identity import Identity
from edgeclient.policy.pricing import PriceTable
from edgeclient.policy.quota import Demand, Reservation
from edgeclient.reloading import Live
from edgeclient.stages.validate import Validate
from edgeclient.telemetry.fanout import Fanout
from edgeclient.telemetry.logs import Logs
from edgeclient.v1 import chat_pb2

TOKENS = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("old-token", "new-token")}
MANY = 1_000_000
FAR = [
    TargetConfig(name="one", base_url="https://one.example/v1", api_key_file="key", account="first"),
    TargetConfig(name="two", base_url="https://two.example/v1", api_key_file="key", account="second"),
]
CALLER = CallerConfig(
    name="camera-7", token_sha256=[TOKENS["old-token"]], models=["qwen-plus"], requests_per_minute=MANY
)
LIMIT = LimitConfig(model="qwen-plus", requests_per_minute=MANY, requests_per_second=MANY)
QUESTION = chat_pb2.Message(content="hi", role=chat_pb2.ROLE_USER)
PRICE = PriceConfig(model="qwen-plus", input_per_million=1.0, output_per_million=2.0)


class House:
    """The parts of a node that take a new configuration, without a road between them."""

    def __init__(self, config: Config) -> None:
        self.clock = FakeClock()
        self.log = io.BytesIO()
        self.told: list[str] = []
        self.models = catalogue(config)
        known = callers(config, self.models)
        self.prices = PriceTable(config.prices, resolve=lambda name: self.models.resolve(name).id)
        counted = counts(config, models=self.models, prices=self.prices, clock=self.clock)
        self.quota = counted.quota
        logs = Logs(config.log, node_id="box-1", clock=self.clock, stream=self.log)
        self.live = Live(
            models=self.models,
            callers=known,
            prices=self.prices,
            validate=Validate(catalogue=self.models, config=config.chat, callers=known),
            identity=Identity(known, required=config.auth.required, certificates=True),
            logs=logs,
            outlets=Fanout({"logs": logs.table}),
            counted=counted.apply,
            models_changed=lambda: self.told.append("models"),
            limits_changed=lambda: self.told.append("limits"),
        )

    def admitted(self, caller: str = "camera-7", **request: Any) -> str:
        """The model that answers, with the priority; or what is wrong with the request."""
        call = builders.call(request=builders.chat_request(**request), caller=caller)
        try:
            self.live.validate.admit(call)
        except CallError as error:
            return error.summary
        assert call.model is not None
        return f"{call.model.id} {call.request.priority}"

    def who(self, *, token: str = "", certificate: str = "") -> str:
        """The name that a caller gets, or why it gets none."""
        metadata = (("authorization", f"Bearer {token}"),) if token else ()
        try:
            return self.live.identity.of(lambda: metadata, lambda: [certificate] if certificate else [])
        except CallError as error:
            return error.summary

    def cost(self, input_tokens: int = 1000, *, cached: int = 0, thinking: bool = False, batch: bool = False) -> Any:
        """The price of an answer."""
        return self.prices.cost("qwen-plus", input_tokens, cached, 1000, thinking=thinking, batch=batch)

    def granted(self, *, caller: str = "camera-7", account: str = "first", tokens: int = 500) -> list[str]:
        """What becomes of four attempts that begin together, of which the second costs half a yuan."""
        demand = Demand(
            model="qwen-plus",
            caller=caller,
            tokens=tokens,
            cost_nanos=500_000_000,
            currency="CNY",
            output_tokens=0,
            account=account,
        )
        got = [self.quota.reserve(demand, now_s=self.clock.monotonic_s()) for _ in range(4)]
        return ["" if isinstance(each, Reservation) else f"{each.limit} {each.value}" for each in got]

    def written(self, level: str) -> list[bytes]:
        """What the log says when it is told an answered call, and something of this level."""
        self.live.outlets.observe(answered())
        self.live.logs.write(level, "word", "sentence")
        return self.log.getvalue().splitlines()


def asks_for(priority: "chat_pb2.Priority.ValueType") -> Callable[[House], str]:
    return lambda house: house.admitted(priority=priority)


Ask = Callable[[House], Any]
SETTINGS: Mapping[str, tuple[Any, Any, Ask]] = {  # by path: one value, another one, and what depends on it
    "auth.required": (False, True, lambda house: house.who()),
    "chat.default_model": ("qwen-plus", "qwen-max", lambda house: house.admitted()),
    "chat.aliases": ({}, {"cheap": "qwen-flash"}, lambda house: house.admitted(model="cheap")),
    "chat.extra_keys": ([], ["top_k"], lambda house: house.admitted(extra_json='{"top_k": 3}')),
    "chat.max_messages": (1, 2, lambda house: house.admitted(messages=[QUESTION] * 2)),
    "log.format": ("json", "console", lambda house: house.written("warning")[0][:1] == b"{"),
    "log.level": ("info", "debug", lambda house: len(house.written("debug"))),
}
ROW_SETTINGS: Mapping[str, tuple[Any, Any, Ask]] = {
    "prices.model": (PRICE, "qwen-max", House.cost),
    "prices.currency": (PRICE, "USD", House.cost),
    "prices.up_to_input_tokens": (PRICE, 500, House.cost),
    "prices.input_per_million": (PRICE, 3.0, House.cost),
    "prices.output_per_million": (PRICE, 3.0, House.cost),
    "prices.cached_per_million": (PRICE, 0.1, lambda house: house.cost(cached=500)),
    "prices.thinking_per_million": (PRICE, 8.0, lambda house: house.cost(thinking=True)),
    "prices.batch_factor": (PRICE, 0.25, lambda house: house.cost(batch=True)),
    "limits.model": (replace(LIMIT, requests_per_minute=2), "qwen-max", House.granted),
    "limits.account": (replace(LIMIT, requests_per_minute=2, account="first"), "second", House.granted),
    "limits.requests_per_minute": (LIMIT, 2, House.granted),
    "limits.tokens_per_minute": (LIMIT, 1000, House.granted),
    "limits.requests_per_second": (LIMIT, 2, House.granted),
    "limits.tokens_per_second": (LIMIT, 1000, House.granted),
    "limits.max_in_flight": (LIMIT, 2, House.granted),
    "limits.growth_tokens": (LIMIT, 1000, House.granted),
    "callers.name": (CALLER, "camera-8", lambda house: house.who(token="old-token")),
    "callers.token_sha256": (CALLER, [TOKENS["new-token"]], lambda house: house.who(token="new-token")),
    "callers.certificates": (CALLER, ["cn.example"], lambda house: house.who(certificate="cn.example")),
    "callers.models": (CALLER, ["qwen-max"], lambda house: house.admitted(model="qwen-plus")),
    "callers.max_priority": (CALLER, "low", asks_for(chat_pb2.PRIORITY_HIGH)),
    "callers.requests_per_minute": (CALLER, 2, House.granted),
    "callers.tokens_per_minute": (CALLER, 1000, House.granted),
    "callers.max_in_flight": (CALLER, 2, House.granted),
    "callers.budget_per_day": (CALLER, 1.0, House.granted),
    "callers.budget_currency": (replace(CALLER, budget_per_day=1.0), "USD", House.granted),
}


def with_value(path: str, value: Any) -> Config:
    section, name = path.split(".")
    more = {"callers": [CALLER]} if section == "auth" else {}
    return builders.config(**{section: {name: value}, **more})


def with_row(table: str, row: Any) -> Config:
    rows: dict[str, list[Any]] = {"callers": [CALLER], "prices": [PRICE], "targets": FAR, table: [row]}
    budget = rows["callers"][0]
    if budget.budget_per_day:  # it wants a price in its currency
        rows["prices"] = [replace(PRICE, currency=budget.budget_currency)]
    return builders.config(**rows)


def test_every_setting_with_the_mark_has_a_question() -> None:
    assert set(SETTINGS) == {
        f"{name}.{spec.name}" for name, cls in SECTIONS.items() for spec in fields(cast("Any", cls)) if reloads(spec)
    }
    assert set(ROW_SETTINGS) == {
        f"{name}.{spec.name}" for name, cls in ROWS.items() for spec in fields(cast("Any", cls)) if reloads(spec)
    }


def answers_like_a_new_one(before: Config, after: Config, ask: Ask) -> None:
    running = House(before)
    assert ask(House(before)) != ask(House(after)), "the question does not depend on the setting"

    running.live.apply(after)

    assert ask(House(after)) == ask(running)


@pytest.mark.parametrize("path", SETTINGS)
def test_new_value_is_in_force(path: str) -> None:
    before, after, ask = SETTINGS[path]

    answers_like_a_new_one(with_value(path, before), with_value(path, after), ask)
    answers_like_a_new_one(with_value(path, after), with_value(path, before), ask)


@pytest.mark.parametrize("path", ROW_SETTINGS)
def test_new_value_of_a_row_is_in_force(path: str) -> None:
    table, name = path.split(".")
    row, value, ask = ROW_SETTINGS[path]
    before, after = with_row(table, row), with_row(table, replace(row, **{name: value}))

    answers_like_a_new_one(before, after, ask)
    answers_like_a_new_one(after, before, ask)


@pytest.mark.parametrize("table", ["limits", "callers"])
def test_what_counts_already_goes_on_counting(table: str) -> None:
    row = LIMIT if table == "limits" else CALLER
    house = House(with_row(table, row))
    assert [""] * 4 == house.granted()

    house.live.apply(with_row(table, replace(row, requests_per_minute=5)))

    assert ["", *[f"{table}[0].requests_per_minute 5"] * 3] == house.granted()


def test_money_that_was_spent_stays_spent_and_another_currency_begins_anew() -> None:
    rich, poor = (with_row("callers", replace(CALLER, budget_per_day=budget)) for budget in (2.0, 2.5))
    house = House(rich)
    assert [""] * 4 == house.granted()

    house.live.apply(poor)
    assert ["", *["callers[0].budget_per_day 2.5"] * 3] == house.granted()

    (state,) = house.quota.budgets(house.clock.monotonic_s())
    assert (2_500_000_000, 2_500_000_000) == (state.limit_nanos, state.reserved_nanos)
    house.live.apply(with_row("callers", replace(CALLER, budget_per_day=2.5, budget_currency="USD")))
    (state,) = house.quota.budgets(house.clock.monotonic_s())
    assert ("USD", 0) == (state.currency, state.reserved_nanos)


def test_reservation_of_before_is_settled_after() -> None:
    house = House(with_row("limits", replace(LIMIT, max_in_flight=1)))
    assert ["", *["limits[0].max_in_flight 1"] * 3] == house.granted()
    held = house.quota.reserve(
        Demand(model="qwen-max", caller="camera-7", tokens=1, cost_nanos=0), now_s=house.clock.monotonic_s()
    )
    assert isinstance(held, Reservation)

    house.live.apply(with_row("limits", LimitConfig(model="*", max_in_flight=1)))
    house.quota.refund(held, now_s=house.clock.monotonic_s())

    again = house.quota.reserve(held.demand, now_s=house.clock.monotonic_s())
    assert isinstance(again, Reservation)


def test_node_without_limits_begins_to_reserve_when_there_are_some() -> None:
    house = House(builders.config())
    assert not house.quota.is_limiting

    house.live.apply(builders.config(limits=[LIMIT]))
    assert house.quota.is_limiting
    house.live.apply(builders.config())
    assert not house.quota.is_limiting


def test_those_who_wait_are_told_of_limits_and_the_prepared_file_of_names_only() -> None:
    house = House(builders.config())

    house.live.apply(builders.config(log={"level": "debug"}))
    assert ["limits"] == house.told

    house.live.apply(builders.config(chat={"aliases": {"cheap": "qwen-flash"}}))
    assert ["limits", "models", "limits"] == house.told
