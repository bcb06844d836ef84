"""Asking again: reads that got lost or met a failing service are repeated; what creates something never is."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from finetune_assets.tuning.cloud.errors import QuotaError, UnavailableError
from finetune_assets.tuning.cloud.faults import Action, Explained

JITTER = 0.2
T = TypeVar("T")


@dataclass(frozen=True)
class ReadPolicy:
    """How often a read is repeated.

    Attributes:
        attempts: times at the most, the first one included.
        first_s: seconds before the second; each pause is twice the one before, give or take a fifth.
        longest_s: longest pause in seconds.
        deadline_s: seconds after which no further one begins.
        sleep: waits.
        clock: monotonic seconds.
    """

    attempts: int = 5
    first_s: float = 1.0
    longest_s: float = 30.0
    deadline_s: float = 300.0
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic


def jittered(seconds: float) -> float:
    """Return the pause, a fifth longer or shorter at random, so that many waiters do not come back at once."""
    return seconds * random.uniform(1.0 - JITTER, 1.0 + JITTER)  # noqa: S311 - spreads load, hides nothing


def read(call: Callable[[], T], action: Action, policy: ReadPolicy) -> T:
    """Return what a read gives, asking again while it gets lost or the service fails.

    Args:
        call: the read; it may be made any number of times.
        action: what it is, for the error.
        policy: how often.

    Raises:
        UnavailableError: when no attempt got through.
        QuotaError: when every attempt was one too many for the service.
        CloudError: when it was refused.
    """
    ends = policy.clock() + policy.deadline_s
    pause = policy.first_s
    for left in range(policy.attempts - 1, -1, -1):
        try:
            with Explained(action):
                return call()
        except (UnavailableError, QuotaError):
            wait = jittered(pause)
            if not left or policy.clock() + wait > ends:
                raise
        policy.sleep(wait)
        pause = min(2 * pause, policy.longest_s)
    raise ValueError("a read policy needs at least one attempt")
