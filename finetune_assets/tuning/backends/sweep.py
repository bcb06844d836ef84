"""The sweep: the provider's jobs held against our intents, for what a crash left open.

`decide` says what is to be done and touches nothing; `sweep` does it. A job that no intent knows may belong to another
installation of this platform: it is reported, never cancelled.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from finetune_assets.storage.database import Database
from finetune_assets.storage.errors import StorageError
from finetune_assets.storage.intents import Intent, list_intents
from finetune_assets.storage.leases import lease, lease_holder
from finetune_assets.tuning.backends.protocol import Backend, JobStatus
from finetune_assets.tuning.backends.recording import record_status
from finetune_assets.tuning.backends.submission import choose, submit_lease
from finetune_assets.tuning.cloud.errors import CloudError, MissingError

# adopt: an intent without handle gets its job. finish: an intent's job has ended. cancel: a further job of the same run
# key, a job of an attempt that is over, or one whose end somebody asked for. unclaimed: a live job without an intent.
# look: an intent whose job is not in the list.
Deed = Literal["adopt", "finish", "cancel", "unclaimed", "look"]
# Project and location, as the settings say them.
Place = tuple[str, str]
_NOWHERE = ("", "")


@dataclass(frozen=True)
class Decision:
    """One thing to do, and why."""

    deed: Deed
    why: str
    intent: Intent | None = None
    job: JobStatus | None = None


@dataclass
class SweepReport:
    """What a sweep did and saw.

    Attributes:
        adopted: request keys of intents that have a handle now, with it.
        finished: request keys of intents whose job had ended, with its state.
        cancelled: handles of jobs that were asked to end, with the reason.
        unclaimed: live jobs with our label that no intent knows.
        lost: request keys of intents whose job the provider does not know any more.
        busy: request keys that a submitter was at work on; they are left to it.
        problems: what could not be looked at or done.
    """

    adopted: dict[str, str] = field(default_factory=dict)
    finished: dict[str, str] = field(default_factory=dict)
    cancelled: dict[str, str] = field(default_factory=dict)
    unclaimed: list[JobStatus] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    busy: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def add(self, other: SweepReport) -> None:
        """Take over what a sweep of another place did and saw."""
        self.adopted |= other.adopted
        self.finished |= other.finished
        self.cancelled |= other.cancelled
        self.unclaimed += other.unclaimed
        self.lost += other.lost
        self.busy += other.busy
        self.problems += other.problems

    @property
    def is_quiet(self) -> bool:
        """True when nothing was found that a person or a log should know of."""
        return not any((self.adopted, self.finished, self.cancelled, self.unclaimed, self.lost, self.problems))


def decide(intents: Sequence[Intent], jobs: Iterable[JobStatus], place: Place | None = None) -> list[Decision]:
    """Hold jobs against intents.

    Args:
        intents: those of one backend, whatever their state and wherever their jobs are: an attempt is over also when
            the next one runs elsewhere.
        jobs: the provider's jobs with our owner label, of the same backend and of one place.
        place: that place; jobs of other places are not missed here. None where there is only one.
    """
    by_run: dict[str, list[JobStatus]] = {}
    for job in sorted(jobs, key=lambda job: (job.created.timestamp() if job.created else 0.0, job.handle)):
        by_run.setdefault(job.run_key, []).append(job)
    known = {intent.run_key: intent for intent in intents if intent.run_key}
    requests = {intent.request_key: intent for intent in intents}
    decisions: list[Decision] = []
    for run_key, group in by_run.items():
        if run_key in known:
            decisions += _of_intent(known[run_key], group)
        else:
            decisions += [_of_stranger(job, requests) for job in group if not job.has_ended]
    decisions += [
        Decision("look", "its job is not in the list", intent)
        for intent in intents
        if intent.is_open and intent.handle and intent.run_key not in by_run
        if place is None or place_of_intent(intent) in (place, _NOWHERE)
    ]
    return decisions


def place_of_intent(intent: Intent) -> Place:
    """Return where an intent's job was asked for; empty words for an intent that does not say."""
    return str(intent.request.get("project", "")), str(intent.request.get("location", ""))


def _of_intent(intent: Intent, group: list[JobStatus]) -> list[Decision]:
    kept, extra = _kept_of(intent, group)
    decisions = [Decision("cancel", "a second job of the same run key", intent, job) for job in extra]
    if kept is None:
        return decisions
    if intent.is_open and not intent.handle:
        decisions.append(Decision("adopt", "its submitter died before it wrote the handle down", intent, kept))
    elif intent.is_open and kept.has_ended:
        decisions.append(Decision("finish", "its watcher died before the end", intent, kept))
    wanted = bool(intent.cancel_requested_by) or intent.state == "CANCELLED"
    if wanted and not kept.has_ended and kept.state != "cancelling":
        decisions.append(Decision("cancel", "somebody asked for its end", intent, kept))
    return decisions


def _kept_of(intent: Intent, group: list[JobStatus]) -> tuple[JobStatus | None, list[JobStatus]]:
    """Return the intent's own job where its handle is written down, else the one that submission would keep."""
    own = next((job for job in group if job.handle == intent.handle), None)
    if own is None:
        return choose(group)
    return own, [job for job in group if job.handle != own.handle and not job.has_ended]


def _of_stranger(job: JobStatus, requests: Mapping[str, Intent]) -> Decision:
    """Decide on a live job whose run key no intent has now: an earlier attempt's, or nobody's."""
    intent = requests.get(job.labels.get("request_key", ""))
    attempt = job.labels.get("attempt", "")
    if intent is not None and attempt.isdecimal() and int(attempt) < intent.attempt:
        return Decision("cancel", "its attempt is over", intent, job)
    return Decision("unclaimed", "no intent here knows it", None, job)


def sweep(
    db: Database, backends: Mapping[str, Backend], *, place: Place | None = None, by: str = "sweep"
) -> SweepReport:
    """Mend what crashes left open, backend by backend; one that cannot be asked does not stop the others.

    Args:
        db: the database.
        backends: backends by name, all of one place.
        place: that place's project and location; None where there is only one.
        by: who acts, for the records.
    """
    report = SweepReport()
    for name, backend in sorted(backends.items()):
        intents = [intent for intent in list_intents(db) if intent.backend == name and intent.run_key]
        try:
            decisions = decide(intents, backend.owned(), place)
        except CloudError as error:
            report.problems.append(f"{name}: {error}")
            continue
        for decision in decisions:
            try:
                _act(db, backend, decision, report, by)
            except (CloudError, StorageError) as error:
                report.problems.append(f"{name}: {error}")
    return report


def _act(db: Database, backend: Backend, decision: Decision, report: SweepReport, by: str) -> None:
    job, intent = decision.job, decision.intent
    if decision.deed == "unclaimed" and job is not None:
        report.unclaimed.append(job)
    elif decision.deed == "cancel" and job is not None:
        backend.cancel(job.handle)
        report.cancelled[job.handle] = decision.why
    elif intent is not None:
        _mend(db, backend, decision, intent, report, by)


def _mend(db: Database, backend: Backend, decision: Decision, intent: Intent, report: SweepReport, by: str) -> None:
    """Bring an intent up to date, unless a submitter is at work on it."""
    name = submit_lease(intent.request_key)
    if lease_holder(db, name) is not None:
        report.busy.append(intent.request_key)
        return
    with lease(db, name):
        job = decision.job
        if job is None:
            try:
                job = backend.status(intent.handle)
            except MissingError:
                report.lost.append(intent.request_key)
                return
            if not job.has_ended:
                return
        record_status(db, intent.request_key, job, by=by, note=decision.why)
        booked = report.adopted if decision.deed == "adopt" else report.finished
        booked[intent.request_key] = job.handle if decision.deed == "adopt" else job.state
