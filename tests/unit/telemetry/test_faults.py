import pytest

from edgeclient.core.errors import Reason, reason_name
from edgeclient.telemetry.faults import DOMAIN_BY_REASON, GATEWAY, PROVIDER, fault_domain


def test_every_reason_of_the_contract_has_a_domain() -> None:
    contract = {reason_name(reason) for reason in Reason.values()} - {"UNSPECIFIED"}

    assert contract == set(DOMAIN_BY_REASON) - {"", "_OTHER"}


@pytest.mark.parametrize(
    ("reason", "domain"), [("", ""), ("UPLINK_OFFLINE", PROVIDER), ("UPSTREAM_CREDENTIALS", GATEWAY), ("NEW", GATEWAY)]
)
def test_domain_says_who_has_to_act(reason: str, domain: str) -> None:
    assert domain == fault_domain(reason)
