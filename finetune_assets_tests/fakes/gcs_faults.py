"""What goes wrong on purpose: faults by request, permissions taken away, and the log of what was asked.

A fault is JSON: `match` (a regular expression searched in "METHOD /path?query"), then one of

- `status`: answer with this status instead; with `after_commit: true` after the work was done,
- `delay_s`: wait so long first (may stand beside any other),
- `cut`: "before" (connection closed, nothing done), "after_commit" (done, closed without an answer), "mid_body" (an
  upload is read to its half, a download is sent to its half, then closed),
- `kill`: "before" or "after_commit": the whole server ends at once, as by kill -9.

`times` bounds how often it strikes (without it: always), `skip` lets so many matches pass first, and `probability` with
`seed` lets it strike at random, the same way for the same seed.
"""

from __future__ import annotations

import os
import random
import re
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

_LOGGED = 200_000


@dataclass
class Fault:
    """One entry of the plan; the module's text says what the fields mean."""

    match: str
    status: int | None = None
    after_commit: bool = False
    delay_s: float = 0.0
    cut: str | None = None
    kill: str | None = None
    times: int | None = None
    skip: int = 0
    probability: float = 1.0
    seed: int = 0
    struck: int = 0
    _random: random.Random = field(init=False, repr=False)
    _pattern: re.Pattern[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._pattern = re.compile(self.match)
        if self.cut not in {None, "before", "after_commit", "mid_body"}:
            raise ValueError(f"cut: {self.cut!r}")
        if self.kill not in {None, "before", "after_commit"}:
            raise ValueError(f"kill: {self.kill!r}")

    def strikes(self, line: str) -> bool:
        if not self._pattern.search(line) or self.times == 0:
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        if self.probability < 1.0 and self._random.random() >= self.probability:
            return False
        if self.times is not None:
            self.times -= 1
        self.struck += 1
        return True

    def to_json(self) -> dict[str, Any]:
        return {"match": self.match, "status": self.status, "cut": self.cut, "kill": self.kill, "struck": self.struck}


class FaultPlan:
    """The faults, the denied permissions and the log of one server."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._log: deque[dict[str, Any]] = deque(maxlen=_LOGGED)
        self.denied: set[str] = set()
        self.principal = "runner@p1.iam.gserviceaccount.com"
        self.unauthenticated = False

    def add(self, entries: list[dict[str, Any]]) -> None:
        faults = [Fault(**entry) for entry in entries]
        with self._lock:
            self._faults.extend(faults)

    def clear(self) -> None:
        with self._lock:
            self._faults.clear()

    def faults(self) -> list[dict[str, Any]]:
        with self._lock:
            return [fault.to_json() for fault in self._faults]

    def deny(self, plan: dict[str, Any]) -> None:
        """Replace what is denied: `permissions`, and optionally `principal` and `unauthenticated`."""
        with self._lock:
            self.denied = set(plan.get("permissions", []))
            self.principal = plan.get("principal", self.principal)
            self.unauthenticated = bool(plan.get("unauthenticated", False))

    def for_request(self, line: str) -> Fault | None:
        """Return the first fault that strikes this request, after its delay."""
        with self._lock:
            fault = next((fault for fault in self._faults if fault.strikes(line)), None)
        if fault is not None and fault.delay_s:
            time.sleep(fault.delay_s)
        return fault

    def note(self, entry: dict[str, Any]) -> None:
        with self._lock:
            self._log.append(entry)

    def log(self) -> list[dict[str, Any]]:
        with self._lock:
            return list(self._log)

    def forget_log(self) -> None:
        with self._lock:
            self._log.clear()


def end_at_once() -> None:
    """End the process without cleaning up anything, as SIGKILL does."""
    os._exit(137)
