"""Secrets are found wherever they stand, by what they are or by how they look."""

from pathlib import Path

import builders
import pytest

from edgeclient.cli.support_redaction import Redaction, secrets_of


@pytest.mark.parametrize(
    "text",
    [
        "the proxy http://user:hunter22@proxy:3128 refused",
        "authorization: Bearer abc-def",
        "key sk-0123456789abcdef",
        "redis://:hunter22@10.0.0.1/0",
    ],
)
def test_what_looks_like_a_credential_is_blotted_out(text: str) -> None:
    shown = Redaction().text(text)

    assert "[redacted]" in shown
    assert not any(secret in shown for secret in ("hunter22", "abc-def", "0123456789abcdef"))


def test_what_is_known_is_blotted_out_everywhere_and_the_longest_whole() -> None:
    redaction = Redaction(["pass", "pass-word-1"])

    assert {"[redacted]": ["x[redacted]x", 5, None, True]} == redaction.value(
        {"pass-word-1": ["xpass-word-1x", 5, None, True]}
    )


def test_what_is_too_short_to_be_a_secret_leaves_the_text_alone() -> None:
    assert "abc a" == Redaction(["a", "", "abc"]).text("abc a")


def test_secrets_are_those_of_the_environment_and_of_the_files_that_settings_name(tmp_path: Path) -> None:
    files = {}
    for name in ("api.key", "node.key", "redis.password", "tls.key", "far.key"):
        files[name] = tmp_path / name
        files[name].write_text(f"content of {name}\n")
    config = builders.config(
        upstream={"api_key_file": str(files["api.key"])},
        spool={"directory": str(tmp_path), "encryption_key_file": str(files["node.key"])},
        cache={"redis_password_file": str(files["redis.password"]), "redis_key_file": str(tmp_path / "missing")},
        ingress={"tls_key_file": str(files["tls.key"]), "tls_certificate_file": "cert.pem"},
    )
    environ = {
        "DASHSCOPE_API_KEY": "k-1",
        "REDIS_PASSWORD": "p-1",
        "https_proxy": "http://user%40site:pass%2Fword@proxy:3128",
        "NO_PROXY": "localhost",
        "EDGECLIENT_UPSTREAM_API_KEY_FILE": "/etc/key",
        "HOME": "/root",
    }

    found = set(secrets_of(environ, config))

    assert {"k-1", "p-1", "user%40site", "user@site", "pass%2Fword", "pass/word"} < found
    assert {f"content of {name}" for name in files if name != "far.key"} < found
    assert not {"/etc/key", "/root", "localhost"} & found
