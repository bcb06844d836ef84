"""A trainer must not outlive the run that started it.

Here belongs the watch over the parent process. It is a poll, so that it works on every POSIX system and whatever
thread of the parent started us (Linux' parent-death signal follows that thread, not the process).
"""

from __future__ import annotations

import os
import threading
import time

PARENT_GONE_EXIT = 75
POLL_S = 0.25


def end_with_parent(expected: int | None) -> None:
    """Start a thread that ends this process, without clean-up, once its parent is gone.

    Sealed checkpoints survive such an end, so nothing needs to be tidied.

    Args:
        expected: process id of the parent that the launcher named; None takes the parent of this moment. Where it is
            given, a parent that died before this call is noticed as well.
    """
    watched = expected if expected is not None else os.getppid()
    if os.getppid() != watched:
        os._exit(PARENT_GONE_EXIT)
    threading.Thread(target=_watch, args=(watched,), name="parent-watch", daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(POLL_S)
    os._exit(PARENT_GONE_EXIT)
