"""Ties a process to its parent: when the parent dies, however it dies, the child is told to end (prctl(2), Linux)."""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def end_with_parent(parent: int) -> None:
    """Have the kernel send SIGTERM to this process when its parent, the process `parent`, dies.

    Ends this process at once when the parent is gone already. Elsewhere than on Linux it does nothing.
    """
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        raise SystemExit(1)
