"""Validation: what is wrong with a request, all of it at once, before it costs a round trip or money."""

from edgeclient.stages.validate.stage import Validate

__all__ = ["Validate"]
