"""The words that the proof looks for in the log are those that the log has."""

import io

import pytest
from fakes.clock import FakeClock
from proof.campaign import ALARMS, alarms
from unit.telemetry.sample_events import sample

from edgeclient.config.schema import LogConfig
from edgeclient.core.events import DefectFound, Event
from edgeclient.core.job_events import SpoolDamaged, SpoolFailed, SpoolFellBack, SpoolRecovered
from edgeclient.telemetry.logs import Logs


def said(event: type[Event]) -> bytes:
    stream = io.BytesIO()
    config = LogConfig(format="json", level="debug")
    logs = Logs(config, node_id="node", clock=FakeClock(), stream=stream, is_terminal=False)
    logs.table[event](sample(event))
    return stream.getvalue()


@pytest.mark.parametrize("event", [DefectFound, SpoolDamaged, SpoolFailed, SpoolFellBack])
def test_what_a_kill_is_no_reason_for_is_heard(event: type[Event]) -> None:
    assert 1 == len(alarms(said(event)))


def test_each_word_is_one_that_is_said() -> None:
    log = b"".join(said(event) for event in (DefectFound, SpoolDamaged, SpoolFailed, SpoolFellBack))

    assert len(ALARMS) == len(alarms(log))


def test_what_is_usual_alarms_nobody() -> None:
    assert [] == alarms(said(SpoolRecovered))
