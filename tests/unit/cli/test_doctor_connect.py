import ssl

import pytest

from edgeclient.cli.doctor_connect import _problem


def failure(reason: str, words: str) -> ssl.SSLError:
    """As a handshake raises it; without a reason if OpenSSL is newer than the table that Python was built with."""
    error = ssl.SSLError(ssl.SSL_ERROR_SSL, words)
    error.reason = reason
    return error


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (failure("WRONG_VERSION_NUMBER", "[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)"), "not_tls"),
        (failure("", "[SSL] record layer failure (_ssl.c:1028)"), "not_tls"),
        (failure("", "[SSL] internal error (_ssl.c:1028)"), "broken_off"),
    ],
    ids=["named", "OpenSSL 3.3 under Python 3.13", "something else"],
)
def test_who_does_not_speak_tls_is_known_by_name_and_by_words(error: ssl.SSLError, problem: str) -> None:
    assert problem == _problem(error)[0]
