"""From facts to what operators see: metrics, log lines, the admin port.

Every part of the house emits a fact once, as an `Event`; what becomes of it is decided here and nowhere else, in one
table per outlet (`metrics.py`, `lines.py`) over which `fanout.py` distributes. This is the only room that knows
structlog and prometheus_client.

It reports and never decides: nothing here can fail, slow down or change a call.
"""
