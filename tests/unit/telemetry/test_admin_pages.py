import json
from http import HTTPStatus

from edgeclient.telemetry.admin_pages import admin_pages


def test_node_is_ready_when_no_check_has_a_reason() -> None:
    pages = admin_pages(metrics=lambda _: ("", b""), readiness=lambda: {"uplink": "", "key": ""})

    page = pages["/readyz"]("")

    assert page.status == HTTPStatus.OK
    assert json.loads(page.body) == {
        "ready": True,
        "checks": [{"name": "uplink", "ready": True, "reason": ""}, {"name": "key", "ready": True, "reason": ""}],
    }


def test_one_reason_makes_it_unready_and_is_told() -> None:
    pages = admin_pages(metrics=lambda _: ("", b""), readiness=lambda: {"uplink": "offline", "key": ""})

    page = pages["/readyz"]("")

    assert page.status == HTTPStatus.SERVICE_UNAVAILABLE
    body = json.loads(page.body)
    assert body["ready"] is False
    assert body["checks"][0] == {"name": "uplink", "ready": False, "reason": "offline"}


def test_node_that_is_not_ready_is_alive() -> None:
    pages = admin_pages(metrics=lambda _: ("", b""), readiness=lambda: {"uplink": "offline"})

    assert pages["/livez"]("").status == HTTPStatus.OK


def test_index_lists_the_pages() -> None:
    pages = admin_pages(metrics=lambda _: ("", b""), readiness=dict)

    assert pages["/"]("").body == b"/metrics\n/livez\n/readyz\n"


def test_usage_is_a_page_where_somebody_counts_it() -> None:
    pages = admin_pages(metrics=lambda _: ("", b""), readiness=dict, usage=lambda: b'{"rows":[]}')

    assert (pages["/usage"]("").content_type, pages["/usage"]("").body) == ("application/json", b'{"rows":[]}')
    assert b"/usage\n" in pages["/"]("").body
