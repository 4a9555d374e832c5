"""Only a key is taken for a key, and a file that everyone can read holds none."""

import base64
from pathlib import Path

import pytest

from edgeclient.config.setting import SettingError
from edgeclient.spool.node_key import node_key
from edgeclient.spool.sealing import PlainVault, vault_of
from edgeclient.spool.vault import KeyedVault

KEY = bytes(range(200, 232))
BASE64 = base64.b64encode(KEY).decode()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "node.key"
    path.touch(mode=0o600)
    return path


@pytest.mark.parametrize(
    "text",
    [
        BASE64,
        BASE64 + "\n",
        f"  {BASE64}\r\n",
        BASE64.rstrip("="),
        base64.urlsafe_b64encode(KEY).decode(),
        KEY.hex(),
        KEY.hex().upper() + "\n",
    ],
)
def test_every_common_notation_of_a_key_is_read(file: Path, text: str) -> None:
    file.write_text(text)

    assert KEY == node_key(file)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (base64.b64encode(KEY[:16]), "holds 16 bytes, a key has 32"),
        (base64.b64encode(KEY + b"x"), "holds 33 bytes, a key has 32"),
        (KEY, "holds neither base64 nor 64 hex digits"),
        (b"correct horse battery staple", "holds neither base64 nor 64 hex digits"),
        (KEY.hex().encode() + b"zz", "holds"),
        (b"A" * 43 + b"=", "holds a placeholder"),
        (b"0" * 64, "holds a placeholder"),
        (b"-----BEGIN PRIVATE KEY-----\n" * 100, "holds more than 1024 bytes"),
    ],
)
def test_what_is_no_key_is_refused_with_the_way_to_make_one(file: Path, content: bytes, problem: str) -> None:
    file.write_bytes(content)

    with pytest.raises(SettingError) as caught:
        node_key(file)

    (sentence,) = caught.value.problems
    assert sentence.startswith(f"spool.encryption_key_file: {file} {problem}")
    assert sentence.endswith("make one with: openssl rand -base64 32")
    assert not content.strip() or content.decode("latin-1").strip() not in sentence


@pytest.mark.parametrize("mode", [0o604, 0o644, 0o620, 0o602, 0o666, 0o601])
def test_a_file_that_others_can_read_or_change_is_refused(file: Path, mode: int) -> None:
    file.write_text(BASE64)
    file.chmod(mode)

    with pytest.raises(SettingError, match=rf"has mode {mode:04o}, so others can read or change it; use chmod 0400"):
        node_key(file)


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o640, 0o440])
def test_owner_and_group_may_read(file: Path, mode: int) -> None:
    file.write_text(BASE64)
    file.chmod(mode)

    assert KEY == node_key(file)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"missing.key cannot be read: No such file or directory"):
        node_key(tmp_path / "missing.key")


def test_a_folder_is_no_key_file(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="cannot be read: Is a directory"):
        node_key(tmp_path)


def test_a_device_is_no_key_file() -> None:
    with pytest.raises(SettingError, match="/dev/zero is no regular file"):
        node_key(Path("/dev/zero"))


def test_the_setting_decides_whether_content_is_encrypted(file: Path) -> None:
    file.write_text(BASE64)

    assert KeyedVault(KEY).scheme == vault_of(str(file)).scheme
    assert isinstance(vault_of(""), PlainVault)
