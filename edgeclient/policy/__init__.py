"""Decisions only: no input or output, no asyncio, no clock; the time is an argument."""
