from pathlib import Path

import pytest

from edgeclient.config.redis_password import redis_password
from edgeclient.config.setting import SettingError


def test_password_comes_from_the_file_or_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("of the file\n")

    assert "of the file" == redis_password(str(file), {"REDIS_PASSWORD": "of the environment"})
    assert "of the environment" == redis_password("", {"REDIS_PASSWORD": "of the environment\n"})
    assert "" == redis_password("", {})


@pytest.mark.parametrize("content", [b"", b" \n", b"sec\x00ret", b"sec\nret", b"x" * 5000])
def test_file_that_holds_no_password_is_told_without_its_content(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "password"
    file.write_bytes(content)

    with pytest.raises(SettingError, match="nothing else") as caught:
        redis_password(str(file), {})
    assert "sec" not in str(caught.value)


def test_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="No such file"):
        redis_password(str(tmp_path / "none"), {})
