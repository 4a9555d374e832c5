from typing import Any

import hpack
import pytest

from edgeclient.simulator.config import SimulatorConfig
from edgeclient.simulator.errors import ERRORS, render
from edgeclient.simulator.frames import StatelessEncoder, goaway_frame, max_streams_frame
from edgeclient.simulator.pace import Pace
from edgeclient.simulator.synthesis import synthesise
from edgeclient.simulator.tokens import count_prompt, count_tokens, split_tokens


@pytest.mark.parametrize("text", ["", "one two three", "您好世界", "a  b\n\nc-d 1234567", "naïve 🙂"])
def test_tokens_joined_are_the_text(text: str) -> None:
    assert text == "".join(split_tokens(text))


def test_token_counts_can_be_checked_by_hand() -> None:
    assert (count_tokens("您好世界"), count_tokens("one two three"), count_tokens("controller")) == (4, 3, 2)
    assert count_prompt(["one two", "您好"]) == 3 + (4 + 2) + (4 + 2)


def test_encoder_is_read_by_a_real_decoder() -> None:
    headers = [(b":status", b"200"), (b"x-long", b"v" * 300), (b":status", b"429"), (b"empty", b"")]
    encoder = StatelessEncoder()
    decoder = hpack.Decoder()

    assert headers == list(decoder.decode(encoder.encode(headers), raw=True))


def test_encoder_answers_a_smaller_table_with_a_size_update() -> None:
    encoder, decoder = StatelessEncoder(), hpack.Decoder()
    decoder.max_allowed_table_size = 0
    encoder.header_table_size = 0

    assert list(decoder.decode(encoder.encode([(b"a", b"b")]), raw=True)) == [(b"a", b"b")]


def test_frames_are_those_of_the_rfc() -> None:
    assert goaway_frame(last_stream_id=5, code=11) == bytes.fromhex("000008 07 00 00000000 00000005 0000000b")
    assert max_streams_frame(1) == bytes.fromhex("000006 04 00 00000000 0003 00000001")


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string", "enum": ["red", "blue"]}, "blue"),
        ({"const": 5}, 5),
        ({"type": "integer", "minimum": 100}, 100),
        ({"type": "integer", "maximum": 3}, 3),
        ({"type": "number"}, 7.0),
        ({"type": ["null", "boolean"]}, True),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 2}, [7, 7]),
        ({"type": "string", "maxLength": 4}, "a bl"),
        ({"type": "string", "format": "date"}, "2026-01-31"),
        ({"$ref": "#/$defs/x", "$defs": {"x": {"type": "null"}}}, None),
        ({"anyOf": [{"type": "integer"}, {"type": "string"}]}, 7),
        ({"allOf": [{"properties": {"a": {"const": 1}}}, {"properties": {"b": {"const": 2}}}]}, {"a": 1, "b": 2}),
    ],
)
def test_synthesised_value_satisfies_its_schema(schema: dict[str, Any], value: object) -> None:
    assert value == synthesise(schema, "a blue pump with 7 valves")


def test_schema_that_refers_to_itself_ends() -> None:
    schema = {"type": "object", "properties": {"next": {"$ref": "#"}}}
    value, depth = synthesise(schema, ""), 0
    while value is not None:
        value, depth = value["next"], depth + 1

    assert depth < 20


def test_jitter_stays_within_its_part_and_is_repeatable() -> None:
    pace = Pace(latency_s=1, ttft_s=0, token_s=0, jitter=0.2, seed=1)
    waits = [pace.spread(1, pace.random_for(seq)) for seq in range(50)]

    assert all(0.8 <= wait <= 1.2 for wait in waits)
    assert len(set(waits)) > 40
    assert waits == [pace.spread(1, pace.random_for(seq)) for seq in range(50)]


def test_every_error_can_be_rendered() -> None:
    assert len(ERRORS) > 40
    assert all(isinstance(render(error, "id")[1], bytes) for error in ERRORS.values())


@pytest.mark.parametrize(
    "over",
    [
        {"port": 70_000},
        {"jitter": 2},
        {"latency_ms": -1},
        {"rpm": 0},
        {"max_streams": 0},
        {"cache_min_tokens": 0},
        {"batch_chat_longest_s": 0},
        {"prefill_tokens_per_s": -1},
    ],
)
def test_impossible_config_is_refused_by_its_name(over: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(over))):
        SimulatorConfig(**over)
