"""What the kernel says of the clock: whether somebody keeps it in step.

`adjtimex` with no mode changes nothing and needs no right; some sandboxes refuse it all the same, and then it is not
known. Only the status word is read, which stands behind the mode and four longs on every architecture of Linux.
"""

import ctypes

_UNSYNCHRONISED = 0x0040
_ERROR = -1
_ROOM_BYTES = 512  # the structure has 208 at most


class _Timex(ctypes.Structure):
    _fields_ = (
        ("modes", ctypes.c_uint),
        ("numbers", ctypes.c_long * 4),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_char * _ROOM_BYTES),
    )


def clock_is_kept() -> bool | None:
    """The clock is synchronised; None: the kernel does not say."""
    try:
        ask = ctypes.CDLL(None).adjtimex
    except (OSError, AttributeError):
        return None
    timex = _Timex()
    if ask(ctypes.byref(timex)) == _ERROR:
        return None
    return not timex.status & _UNSYNCHRONISED
