"""Waiting: clocks, pauses that listen, and who is told of what. Submission, watching and the sweep share it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from finetune_assets.tuning.backends.protocol import JobStatus
from finetune_assets.tuning.cloud.errors import CloudError, QuotaError, UnavailableError

# What a waiter is asked to do: go on, end the job, or leave it running at the service.
Stop = Literal["", "cancel", "leave"]
HOUR_S = 3600.0
# How long a pause lasts before `should_stop` is asked again.
_LISTEN_S = 1.0
# What may pass by itself.
OUTAGE = (UnavailableError, QuotaError)


class LeftRunningError(CloudError):
    """The run was asked to end and leave its job alone; the next run attaches to it."""


def _ignore(_: object) -> None:
    """Tell nobody."""


def _go_on() -> Stop:
    return ""


@dataclass(frozen=True)
class Waiter:
    """What waiting needs of its surroundings.

    Attributes:
        on_change: told of each new state, phase or provider's word; the first look counts as a change.
        on_note: told of what a person may want to know once: an outage, an unknown state, a doubt.
        should_stop: asked at least once a second: "cancel" when a person wants the job's end, "leave" when only this
            process has to end.
        on_point: told of each step by name; a test ends the process there.
        clock: monotonic seconds.
        sleep: waits.
        by: who or which run acts, for the records.
    """

    on_change: Callable[[JobStatus], None] = _ignore
    on_note: Callable[[str], None] = _ignore
    should_stop: Callable[[], Stop] = _go_on
    on_point: Callable[[str], None] = _ignore
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    by: str = ""

    def pause(self, seconds: float, until: Callable[[Stop], bool] = bool) -> None:
        """Wait, but no longer than until `should_stop` answers what `until` is true for (any wish by default)."""
        ends = self.clock() + seconds
        while (left := ends - self.clock()) > 0 and not until(self.should_stop()):
            self.sleep(min(left, _LISTEN_S))

    def leave_if_asked(self, where: str) -> None:
        """End here when the process has to.

        Raises:
            LeftRunningError: when it was asked to leave the job alone.
        """
        if self.should_stop() == "leave":
            raise LeftRunningError(
                "the run ended and left its job to the service",
                where=where,
                mend="run again: it attaches to the job; `finetune jobs cancel` ends it",
            )
