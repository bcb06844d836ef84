"""Submission at most once: an intent, a look-up, one create, and a look-up again after any doubt.

The provider has no request id, so that only its labels tell whether a job was made. The order of steps makes sure that
a process which dies between any two of them leaves enough behind for the next one to find what it did.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from finetune_assets.storage.database import Database
from finetune_assets.storage.intents import Intent, find_intent, mark, record_intent
from finetune_assets.storage.leases import Lease, lease
from finetune_assets.storage.ledger import Reservation
from finetune_assets.tuning.backends.patience import HOUR_S, OUTAGE, Waiter
from finetune_assets.tuning.backends.protocol import Backend, JobRequest, JobStatus
from finetune_assets.tuning.backends.recording import REFUSED, SUBMITTING, record_status
from finetune_assets.tuning.cloud.errors import AmbiguousError, CloudError, JobFailedError, QuotaError, RejectedError
from finetune_assets.tuning.cloud.retries import jittered

# Another submitter of the same request is waited for: it will have a handle then.
WAIT_FOR_TWIN_S = 900.0
ENDED_BADLY = ("FAILED", "CANCELLED", "EXPIRED")
_LONGEST_DOUBT_S = 120.0
_FRESH_OUTAGE_S = 600.0
_QUOTA_S = (60.0, 900.0)

T = TypeVar("T")


@dataclass(frozen=True)
class Booking:
    """What is written down beside the job.

    Attributes:
        reservation: what it may cost; None where nothing is booked.
        namespace: the run's namespace.
        by: who or which run asks.
        twin_s: seconds to wait for another submitter of the same request.
        quota_s: first and longest pause after a used-up quota.
        quota_h: hours to wait for quota; None is `cloud.deadlines.quota_h`.
    """

    reservation: Reservation | None = None
    namespace: str = ""
    by: str = ""
    twin_s: float = WAIT_FOR_TWIN_S
    quota_s: tuple[float, float] = _QUOTA_S
    quota_h: float | None = None


def submit_lease(request_key: str) -> str:
    """Return the name of the lease that a submitter of this request holds."""
    return f"submit/{request_key}"


def attempt_of(db: Database, request_key: str) -> int:
    """Return the attempt that a job request has to be made for: 1, or what `retry_intent` counted up to."""
    intent = find_intent(db, request_key)
    return 1 if intent is None else intent.attempt


def submit_once(
    db: Database,
    backend: Backend,
    job: JobRequest,
    booking: Booking | None = None,
    waiter: Waiter | None = None,
) -> JobStatus:
    """Return the job of a request, which exists exactly once: the one under way, or a new one.

    Args:
        db: the database that all submitters share.
        backend: who tunes.
        job: everything that the job is made of; its attempt is `attempt_of`'s.
        booking: reservation and names.
        waiter: clocks, notes and the wish to stop.

    Returns:
        How the job stands; it may have ended already. Its handle is written down.

    Raises:
        BudgetExceededError: when the reservation does not fit; nothing was submitted.
        JobFailedError: when this attempt ended badly: another one is a person's decision.
        AmbiguousError: when nobody can say in time whether the job exists. The next run looks it up again.
        QuotaError: when there was no quota until the deadline; nothing exists.
        MissingError: when a job whose handle is known is gone.
        CloudError: when the service refuses the job; nothing exists, and the reservation is given back.
    """
    booked, patient = booking or Booking(), waiter or Waiter()
    key = job.request.request_key
    patient.on_point("before intent")
    with lease(db, submit_lease(key), wait_s=booked.twin_s) as held:
        intent = record_intent(
            db,
            key,
            task=job.request.task,
            backend=backend.name,
            run_key_of=lambda attempt: replace(job, attempt=attempt).run_key,
            namespace=booked.namespace,
            variant=job.variant,
            request=description_of(job),
            reservation=booked.reservation,
            by=booked.by,
        )
        patient.on_point("after intent")
        _require_open(intent, job)
        if intent.handle:
            patient.on_point("before attach")
            outage_s = job.cloud.polling.outage_h * HOUR_S
            status = _patiently(lambda: backend.status(intent.handle), job, patient, outage_s)
        else:
            status = _Submission(db, backend, job, booked, patient, held).run(intent)
        patient.on_point("before record")
        record_status(db, key, status, by=booked.by)
        patient.on_point("after record")
        return status


def description_of(job: JobRequest) -> dict[str, Any]:
    """Return what attaching to the job needs after its host died, and what a person wants to know of it."""
    config = job.request.config
    return {
        "project": job.cloud.project,
        "location": job.cloud.location,
        "bucket": job.cloud.bucket,
        "base_model": config.base_model,
        "settings": config.identity(),
        "train_uri": job.train_uri,
        "validation_uri": job.validation_uri,
        "output_uri": job.output_uri,
        "rows": job.rows,
        "display_name": job.display_name,
        "labels": dict(job.labels()),
        "estimate": dict(job.estimate),
    }


def choose(jobs: list[JobStatus]) -> tuple[JobStatus | None, list[JobStatus]]:
    """Return which of several jobs of one run key is kept, and which are to be cancelled.

    The oldest one that is live or succeeded is kept; where all ended badly, the oldest, so that its failure is told.

    Args:
        jobs: the jobs, oldest first.
    """
    good = [job for job in jobs if not job.has_ended or job.state == "succeeded"]
    if not good:
        return (jobs[0] if jobs else None), []
    return good[0], [job for job in good[1:] if not job.has_ended]


@dataclass
class _Submission:
    """One submission of an attempt that has no handle yet."""

    db: Database
    backend: Backend
    job: JobRequest
    booking: Booking
    waiter: Waiter
    held: Lease
    doubts: int = 0

    def run(self, intent: Intent) -> JobStatus:
        # An earlier process wrote this down before it asked, and never wrote what came of it.
        self.doubts = 1 if intent.phase == SUBMITTING else 0
        if self.doubts:
            self.waiter.on_note("an earlier submission may have reached the service; looking it up first")
        began, pause = self.waiter.clock(), self.booking.quota_s[0]
        while True:
            self._wait_for_visibility()
            kept = self._existing()
            if kept is not None:
                return kept
            self._cancel_if_asked()
            try:
                return self._create()
            except AmbiguousError as problem:
                self.doubts += 1
                self._require_time(began, self.job.cloud.polling.outage_h, problem)
                self.waiter.on_note(f"looking up whether the job was made: {problem}")
            except QuotaError as problem:
                self._refused(problem)
                hours = self.booking.quota_h
                self._require_time(began, self.job.cloud.deadlines.quota_h if hours is None else hours, problem)
                self.waiter.on_note(f"no quota yet, trying again: {problem}")
                self.waiter.pause(jittered(pause))
                pause = min(2 * pause, self.booking.quota_s[1])
            except CloudError as problem:
                self._refused(problem)
                raise

    def _wait_for_visibility(self) -> None:
        """After a doubt, give the service time to finish and to show what it was asked for."""
        self.waiter.leave_if_asked(self.job.display_name)
        if self.doubts:
            wait = min(self.job.cloud.polling.visibility_s * 2.0 ** (self.doubts - 1), _LONGEST_DOUBT_S)
            self.waiter.pause(wait, lambda wish: wish == "leave")
            self.waiter.leave_if_asked(self.job.display_name)

    def _existing(self) -> JobStatus | None:
        """Return the job that is there already; further ones are cancelled."""
        self.waiter.on_point("before find")
        # Where nothing was asked for yet, a person rather hears of a service that cannot be reached.
        outage_s = self.job.cloud.polling.outage_h * HOUR_S
        longest_s = outage_s if self.doubts else min(outage_s, _FRESH_OUTAGE_S)
        found = _patiently(lambda: self.backend.find(self.job), self.job, self.waiter, longest_s)
        self.waiter.on_point("after find")
        kept, extra = choose(found)
        for job in extra:
            self.waiter.on_note(f"{job.handle} is a second job of this run key: it is cancelled")
            try:
                self.backend.cancel(job.handle)
            except OUTAGE as problem:
                self.waiter.on_note(f"it could not be cancelled yet, the sweep will: {problem}")
        return kept

    def _create(self) -> JobStatus:
        """Ask for the job, after writing down that it is about to be asked for."""
        self.held.check()
        mark(self.db, self._key, "INTENDED", phase=SUBMITTING, error="", by=self.booking.by)
        self.waiter.on_point("before create")
        status = self.backend.submit(self.job)
        self.waiter.on_point("after create")
        if self.doubts:
            # What was in doubt may have come into being meanwhile: the older one is kept.
            self._wait_for_visibility()
            status = self._existing() or status
        return status

    def _cancel_if_asked(self) -> None:
        intent = find_intent(self.db, self._key)
        who = intent.cancel_requested_by if intent is not None else ""
        if not who and self.waiter.should_stop() != "cancel":
            return
        mark(self.db, self._key, "CANCELLED", phase="", error="cancelled before it was submitted", by=who, release=True)
        raise JobFailedError(
            "the job was cancelled before it was submitted",
            where=f"request {self._key}",
            mend=retry_words(self._key),
        )

    def _refused(self, problem: CloudError) -> None:
        """Write down that nothing exists; the reservation goes back until the job is asked for again."""
        if self.doubts:
            return  # something asked for earlier may still come into being
        release = not isinstance(problem, QuotaError)
        mark(self.db, self._key, "INTENDED", phase=REFUSED, error=str(problem), by=self.booking.by, release=release)

    def _require_time(self, began: float, hours: float, problem: CloudError) -> None:
        self.waiter.leave_if_asked(self.job.display_name)
        if self.waiter.clock() - began > hours * HOUR_S:
            raise problem

    @property
    def _key(self) -> str:
        return self.job.request.request_key


def _patiently(call: Callable[[], T], job: JobRequest, waiter: Waiter, longest_s: float) -> T:
    """Return what a look gives, waiting for the service through an outage of up to `longest_s` seconds."""
    polling = job.cloud.polling
    ends, pause, is_told = waiter.clock() + longest_s, polling.first_s, False
    while True:
        try:
            return call()
        except OUTAGE as problem:
            if waiter.clock() > ends:
                raise
            if not is_told:
                waiter.on_note(f"the service cannot be asked, trying again: {problem}")
                is_told = True
        waiter.pause(jittered(pause), lambda wish: wish == "leave")
        waiter.leave_if_asked(job.display_name)
        pause = min(2 * pause, polling.longest_s)


def _require_open(intent: Intent, job: JobRequest) -> None:
    if intent.state in ENDED_BADLY:
        raise JobFailedError(
            f"attempt {intent.attempt} of this job {intent.state.lower()}",
            where=f"request {intent.request_key}",
            found=intent.error,
            mend=retry_words(intent.request_key),
        )
    if intent.attempt != job.attempt:
        raise RejectedError(
            "another attempt was opened meanwhile",
            where=f"request {intent.request_key}",
            found=f"attempt {intent.attempt}",
            expected=f"attempt {job.attempt}",
            mend="run again",
        )


def retry_words(request_key: str) -> str:
    """Return how a person opens another attempt."""
    return f"mend the cause, then run `finetune jobs retry {request_key}`: another attempt may be billed again"
