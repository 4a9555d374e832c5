from pathlib import Path

import pytest

from edgeclient.config.document import Document, read_document
from edgeclient.config.setting import SettingError

TEXT = '''# a comment with [brackets] and a = sign

top = 1
[ingress]  # header
listen = "127.0.0.1:50051"
"drain_s" = 5
text = """
[chat]
max_messages = 1
"""

[chat]
extra_keys = [
  "a",  # ]
  "b",
]
aliases = { a = "b" }
aliases2.deep.key = "x"
[[prices]]
model = "x"
[[prices]]
currency = "CNY"
[models."qwen3.8-max"]
tools = true
'''


def read(tmp_path: Path, content: bytes) -> Document:
    path = tmp_path / "edge.toml"
    path.write_bytes(content)
    return read_document(path)


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_every_value_knows_its_line(tmp_path: Path, newline: str) -> None:
    document = read(tmp_path, TEXT.replace("\n", newline).encode())
    assert document.lines == {
        ("top",): 3,
        ("ingress",): 4,
        ("ingress", "listen"): 5,
        ("ingress", "drain_s"): 6,
        ("ingress", "text"): 7,
        ("chat",): 12,
        ("chat", "extra_keys"): 13,
        ("chat", "aliases"): 17,
        ("chat", "aliases", "a"): 17,
        ("chat", "aliases2"): 18,
        ("chat", "aliases2", "deep"): 18,
        ("chat", "aliases2", "deep", "key"): 18,
        ("prices", 0): 19,
        ("prices", 0, "model"): 20,
        ("prices", 1): 21,
        ("prices", 1, "currency"): 22,
        ("models", "qwen3.8-max"): 23,
        ("models", "qwen3.8-max", "tools"): 24,
    }


def test_value_without_a_line_has_the_line_above_it() -> None:
    document = Document(path=Path("f"), table={}, lines={("chat",): 3})
    assert str(document.origin("chat", "aliases", "a")) == "set in f:3"
    assert str(document.origin("log")) == "set in f"


def test_very_long_value_costs_lines_but_no_failure(tmp_path: Path) -> None:
    document = read(tmp_path, b"[node]\nid = '''" + b"\n" * 600 + b"'''\n[log]\n")
    assert document.lines == {("node",): 1}
    assert document.table["log"] == {}


def test_byte_order_mark_is_no_error(tmp_path: Path) -> None:
    assert read(tmp_path, b"\xef\xbb\xbf[node]\n").table == {"node": {}}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"[node]\nid = \n", "line 2, column 6: invalid value"),
        (b"[node]\nid = 'a'\nid = 'b'\n", "line 3, column 9: cannot overwrite a value"),
        (b"[node", "at its end: expected ']' at the end of a table declaration"),
        (b"[node]\nid = '\xff'\n", "line 2: is not UTF-8"),
        (b"#" * (1024 * 1024 + 1), "is longer than 1048576 bytes; is it the right file?"),
        (b"a = " + b"[" * 5000, "is nested too deeply"),
    ],
)
def test_unreadable_file_tells_the_place(tmp_path: Path, content: bytes, problem: str) -> None:
    with pytest.raises(SettingError) as caught:
        read(tmp_path, content)
    assert caught.value.problems == [f"{tmp_path / 'edge.toml'}: {problem}"]


def test_directory_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="cannot be read: Is a directory"):
        read_document(tmp_path)
