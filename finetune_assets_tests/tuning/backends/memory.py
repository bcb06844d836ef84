"""A provider in memory: a backend over the protocol whose jobs a test moves by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from finetune_assets.tuning.backends.protocol import JobRequest, JobResult, JobStatus
from finetune_assets.tuning.cloud.errors import MissingError

START = datetime(2026, 11, 1, tzinfo=UTC)


@dataclass
class MemoryBackend:
    """Jobs in a dict; `failures` holds errors to be raised by the next calls of a verb."""

    name: str = "gemini"
    jobs: dict[str, JobStatus] = field(default_factory=dict)
    failures: dict[str, list[Exception]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    script: list[dict[str, Any]] = field(default_factory=list)
    hidden_for: int = 0
    lose_answer: bool = False

    def _called(self, verb: str) -> None:
        self.calls.append(verb)
        waiting = self.failures.get(verb)
        if waiting:
            raise waiting.pop(0)

    def find(self, request: JobRequest) -> list[JobStatus]:
        self._called("find")
        if self.hidden_for:
            self.hidden_for -= 1
            return []
        return [job for job in self.jobs.values() if job.run_key == request.run_key]

    def submit(self, request: JobRequest) -> JobStatus:
        late = self.lose_answer
        if not late:
            self._called("submit")
        job = self.add(run_key=request.run_key, labels=request.labels())
        if late:
            self._called("submit")
        return job

    def add(self, **more: Any) -> JobStatus:
        number = len(self.jobs)
        job = JobStatus(
            handle=f"projects/p1/locations/us-central1/tuningJobs/{number}",
            state="waiting",
            phase="queued",
            created=START + timedelta(seconds=number),
        )
        self.jobs[job.handle] = replace(job, **more)
        return self.jobs[job.handle]

    def status(self, handle: str) -> JobStatus:
        self._called("status")
        if handle not in self.jobs:
            raise MissingError("gone", where=handle)
        if self.script:
            self.set(handle, **self.script.pop(0))
        return self.jobs[handle]

    def set(self, handle: str, **changes: Any) -> None:
        self.jobs[handle] = replace(self.jobs[handle], **changes)

    def cancel(self, handle: str) -> None:
        self._called("cancel")
        if handle in self.jobs and not self.jobs[handle].has_ended:
            self.set(handle, state="cancelled", phase="")

    def result(self, handle: str) -> JobResult:
        self._called("result")
        return JobResult(handle, model="m@1")

    def owned(self) -> list[JobStatus]:
        self._called("owned")
        return list(self.jobs.values())


@dataclass
class Time:
    """A clock that only sleeping moves."""

    now: float = 0.0
    at: list[tuple[float, Callable[[], None]]] = field(default_factory=list)

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        for moment, act in [entry for entry in self.at if entry[0] <= self.now]:
            self.at.remove((moment, act))
            act()
