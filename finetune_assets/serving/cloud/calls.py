"""Patience with the service: reads are repeated while the failure passes, what makes something is sent once.

What Google's clients raise is told apart in `tuning/cloud/faults.py`. Here is how long one goes on asking: an endpoint
or an operation may take an hour, so that the measure is time and not a number of tries.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from finetune_assets.tuning.cloud.errors import (
    AmbiguousError,
    CloudError,
    DeadlineError,
    QuotaError,
    RejectedError,
    UnavailableError,
)
from finetune_assets.tuning.cloud.faults import Action, Explained

T = TypeVar("T")

# "There are other operations running on the resource": a 400 FAILED_PRECONDITION that passes by itself.
_BUSY = "operations running"

UNCLEAR = (AmbiguousError, QuotaError, UnavailableError)
"""What is answered by looking at what is there, and trying again."""


@dataclass(frozen=True)
class Patience:
    """How long and how often a service is asked again.

    Attributes:
        first_s: seconds before the second look.
        longest_s: longest time between two looks in seconds.
        deadline_s: seconds for the whole.
        outage_s: seconds that looks may fail one after the other.
        visibility_s: seconds to wait after an unclear answer before what came of it is looked up: lists may lag.
        clock: seconds that only grow.
        sleep: waits.
    """

    first_s: float = 2.0
    longest_s: float = 60.0
    deadline_s: float = 7200.0
    outage_s: float = 1800.0
    visibility_s: float = 5.0
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)
    sleep: Callable[[float], object] = field(default=time.sleep, repr=False)

    def pause(self, number: int) -> float:
        """Return the seconds before look `number` + 1 (from 0): twice as long each time, a fifth up or down."""
        jitter = random.Random(f"pause:{number}").uniform(0.8, 1.2)  # noqa: S311 -- spreads looks, guards nothing
        return min(self.longest_s, self.first_s * 2.0 ** min(number, 30)) * jitter

    def turns(self) -> Turns:
        """Return the count of tries from now on."""
        return Turns(self, self.clock() + self.deadline_s)


class Turns:
    """Tries with pauses in between until the deadline.

    Args:
        patience: how long and how often.
        ends: the clock's time of the deadline.
    """

    def __init__(self, patience: Patience, ends: float) -> None:
        self._patience = patience
        self._ends = ends
        self._number = 0

    def rest(self, error: CloudError, *, least_s: float = 0.0) -> None:
        """Wait before the next try.

        Args:
            error: raised when no time for one is left.
            least_s: seconds to wait at the least.
        """
        pause = max(least_s, self._patience.pause(self._number))
        if self._patience.clock() + pause > self._ends:
            raise error
        self._patience.sleep(pause)
        self._number += 1


def once(what: str, where: str, ask: Callable[[], T]) -> T:
    """Send what makes or changes something, once.

    Args:
        what: what did not work when it fails, for the error.
        where: the resource.
        ask: the call.

    Raises:
        AmbiguousError: nobody knows whether it was carried out, or it was so before (409): look it up.
        QuotaError: 429; nothing was carried out.
        UnavailableError: another operation is at work on the resource, which takes one at a time.
        CloudError: it was refused.
    """
    try:
        with Explained(Action(what, where=where, creates=True)):
            return ask()
    except RejectedError as error:
        if _BUSY not in error.found.lower():
            raise
        raise UnavailableError(
            f"{what}: another operation is at work on it", where=where, found=error.found, mend="run again later"
        ) from error


def read(what: str, where: str, ask: Callable[[], T], patience: Patience) -> T:
    """Ask what may be asked any number of times, again and again while the failure is a passing one.

    Args:
        what: what did not work when it fails, for the error.
        where: the resource.
        ask: the call.
        patience: how often; `outage_s` is how long.

    Raises:
        UnavailableError, QuotaError: when the failure lasted.
        CloudError: what the service said, typed.
    """
    turns = Turns(patience, patience.clock() + min(patience.outage_s, patience.deadline_s))
    while True:
        try:
            with Explained(Action(what, where=where)):
                return ask()
        except (UnavailableError, QuotaError) as error:
            turns.rest(error)


def late(what: str, where: str, found: str) -> DeadlineError:
    """Return the error of something that takes too long; it goes on without us."""
    return DeadlineError(what, where=where, found=found, mend="run again: it attaches to what is under way")
