"""The order of service: see `stage.py`."""

from edgeclient.stages.dispatch.stage import Dispatch

__all__ = ["Dispatch"]
