from hypothesis import given
from hypothesis import strategies as st

from edgeclient.core.events import Uplink
from edgeclient.policy.uplink import INCIDENT_S, LOSSES_UNTIL_OFFLINE, TRANSITIONS, Fact, UplinkJudge


def test_every_cell_of_the_table_is_filled() -> None:
    assert {(state, fact) for state in Uplink for fact in Fact} == set(TRANSITIONS)


@given(st.sampled_from(Uplink), st.sampled_from(Fact))
def test_nothing_leads_back_to_unknown_and_no_loss_to_online(state: Uplink, fact: Fact) -> None:
    after = TRANSITIONS[state, fact]

    assert after is not Uplink.UNKNOWN
    if fact in (Fact.LOST, Fact.LOST_REPEATEDLY, Fact.PROBE_LOST):
        assert after is not Uplink.ONLINE


@given(st.sampled_from(Uplink))
def test_a_call_that_got_through_always_means_online(state: Uplink) -> None:
    assert Uplink.ONLINE is TRANSITIONS[state, Fact.ANSWERED]


@given(st.lists(st.sampled_from(["answered", "lost", "probe_answered", "probe_lost"])), st.floats(0, 10))
def test_any_history_has_a_state(history: list[str], step_s: float) -> None:
    judge = UplinkJudge()
    now_s = 0.0
    for fact in history:
        now_s += step_s
        after = judge.lost(now_s=now_s) if fact == "lost" else getattr(judge, fact)()
        assert after is judge.state


def test_one_lost_call_is_no_outage_and_three_are() -> None:
    judge = UplinkJudge()
    judge.answered()

    states = [judge.lost(now_s=100.0 * number) for number in range(LOSSES_UNTIL_OFFLINE)]

    assert [Uplink.DEGRADED, Uplink.DEGRADED, Uplink.OFFLINE] == states


def test_calls_that_die_with_their_connection_are_one_incident() -> None:
    judge = UplinkJudge()
    judge.answered()

    for number in range(50):
        judge.lost(now_s=100 + number * INCIDENT_S / 100)

    assert Uplink.DEGRADED is judge.state


def test_a_loss_and_a_lost_probe_are_offline() -> None:
    judge = UplinkJudge()
    judge.answered()
    judge.lost(now_s=1)

    assert Uplink.OFFLINE is judge.probe_lost()


def test_the_way_back_takes_two_probes_or_one_call() -> None:
    judge = UplinkJudge()
    judge.probe_lost()

    assert Uplink.DEGRADED is judge.probe_answered()
    assert Uplink.ONLINE is judge.probe_answered()


def test_an_answer_forgets_earlier_losses() -> None:
    judge = UplinkJudge()
    judge.lost(now_s=0)
    judge.lost(now_s=10)
    judge.answered()

    assert Uplink.DEGRADED is judge.lost(now_s=20)
