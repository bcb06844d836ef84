"""Watching a job to its end: looks, deadlines, outages, and what a stop means.

Here belongs the patience. The job goes on at the service whatever happens to its watcher; only a person's cancel ends
it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from finetune_assets.storage.clock import utc_now
from finetune_assets.storage.database import Database
from finetune_assets.storage.intents import Intent, find_intent
from finetune_assets.tuning.backends.patience import HOUR_S, OUTAGE, Stop, Waiter
from finetune_assets.tuning.backends.protocol import Backend, JobStatus
from finetune_assets.tuning.backends.recording import record_status
from finetune_assets.tuning.cloud.config import CloudConfig, Deadlines
from finetune_assets.tuning.cloud.errors import CloudError, DeadlineError, NoCredentialsError
from finetune_assets.tuning.cloud.retries import jittered

_BACKOFF = 1.5
_GROUP_WORDS = {
    "quota": "waiting for quota",
    "capacity": "waiting for machines",
    "running": "running",
    "cancelling": "ending",
}


def watch(
    db: Database,
    backend: Backend,
    request_key: str,
    handle: str,
    config: CloudConfig,
    waiter: Waiter | None = None,
) -> JobStatus:
    """Look at a job until it has ended, and write down what changes.

    Args:
        db: where the job's intent stands.
        backend: the job's backend.
        request_key: the intent.
        handle: the job.
        config: intervals and deadlines. A phase's time counts from when it was first written down, by whichever run.
        waiter: who is told, and who may stop it.

    Returns:
        The job's last state; it has ended.

    Raises:
        DeadlineError: when it stayed too long in a phase, or could not be looked at for too long; it runs on.
        LeftRunningError: when the watcher was asked to leave it.
        MissingError: when the service does not know the job (any more).
        CloudError: when the service refuses to tell.
    """
    told = waiter or Waiter()
    intent = find_intent(db, request_key)

    def changed(status: JobStatus) -> None:
        told.on_point("end seen" if status.has_ended else "change seen")
        record_status(db, request_key, status, by=told.by)
        told.on_point("end recorded" if status.has_ended else "change recorded")
        told.on_change(status)

    return _Watch(backend, handle, config, replace(told, on_change=changed), intent).run()


@dataclass
class _Watch:
    """One watch: what was seen last, and since when."""

    backend: Backend
    handle: str
    config: CloudConfig
    waiter: Waiter
    intent: Intent | None = None
    last: JobStatus | None = None
    group: str = ""
    group_since: float = 0.0
    outage_since: float | None = None
    cancelled: bool = False
    noted: set[str] = field(default_factory=set)

    def run(self) -> JobStatus:
        pause = self.config.polling.first_s
        while True:
            self._listen()
            self.waiter.on_point("before poll")
            status = self._look()
            if status is not None:
                if self._changed(status):
                    pause = self.config.polling.first_s
                if status.has_ended:
                    return status
                self._check_deadline(status)
            self.waiter.pause(jittered(pause), self._is_news)
            pause = min(_BACKOFF * pause, self.config.polling.longest_s)

    def _is_news(self, wish: Stop) -> bool:
        return wish == "leave" or (wish == "cancel" and not self.cancelled)

    def _listen(self) -> None:
        self.waiter.leave_if_asked(self.handle)
        if self.waiter.should_stop() == "cancel" and not self.cancelled:
            try:
                self.backend.cancel(self.handle)
            except OUTAGE as error:
                self._note("cancel", f"the job could not be cancelled yet, trying again: {error}")
                self.waiter.sleep(self.config.polling.first_s)
                return
            self.cancelled = True

    def _look(self) -> JobStatus | None:
        """Return how the job stands; None while it cannot be looked at."""
        try:
            status = self.backend.status(self.handle)
        except OUTAGE as error:
            self._check_outage(error)
            return None
        except NoCredentialsError as error:
            if self.last is None:
                raise
            self._check_outage(error)  # they were good a moment ago: somebody may be renewing them
            return None
        self.outage_since = None
        return status

    def _check_outage(self, error: CloudError) -> None:
        now = self.waiter.clock()
        if self.outage_since is None:
            self.outage_since = now
            self.waiter.on_note(f"the job cannot be looked at, trying again: {error}")
        if now - self.outage_since > self.config.polling.outage_h * HOUR_S:
            raise DeadlineError(
                "the job could not be looked at for too long; it may be running",
                where=self.handle,
                found=str(error),
                expected=f"an answer within {self.config.polling.outage_h:g} h (cloud.polling.outage_h)",
                mend="run again when the service answers: it attaches to the job",
            ) from error

    def _changed(self, status: JobStatus) -> bool:
        before, self.last = self.last, status
        if status.state == "unknown":
            word = status.provider_state or "nothing"
            self._note(f"state {word}", f"the service says {word}, which this version does not know; it is waited on")
        if before is not None and _shown(before) == _shown(status):
            return False
        self.waiter.on_change(status)
        return True

    def _note(self, key: str, text: str) -> None:
        if key not in self.noted:
            self.noted.add(key)
            self.waiter.on_note(text)

    def _check_deadline(self, status: JobStatus) -> None:
        group = group_of(status.state, status.phase)
        now = self.waiter.clock()
        if group != self.group:
            waited = 0.0 if self.group else self._waited_before(group)
            self.group, self.group_since = group, now - waited
        hours = _hours(self.config.deadlines, group)
        if now - self.group_since > hours * HOUR_S:
            raise DeadlineError(
                f"the job has been {_GROUP_WORDS[group]} for too long; it runs on",
                where=self.handle,
                found=status.provider_state,
                expected=f"at most {hours:g} h (cloud.deadlines.{group}_h)",
                mend="run again to attach to it, raise the deadline, or end it with `finetune jobs cancel`",
            )

    def _waited_before(self, group: str) -> float:
        """Return for how many seconds an earlier watcher had seen the job in this group of phases."""
        intent = self.intent
        if intent is None or intent.phase_since is None or group_of(intent.state, intent.phase) != group:
            return 0.0
        return max(0.0, (utc_now() - intent.phase_since).total_seconds())


def group_of(state: str, phase: str) -> str:
    """Return which deadline counts: phases that are mended in the same way share one."""
    if "cancelling" in (state, phase):
        return "cancelling"
    if phase in ("quota", "queued"):
        return "quota"
    return "capacity" if phase == "capacity" else "running"


def _hours(deadlines: Deadlines, group: str) -> float:
    hours: float = getattr(deadlines, f"{group}_h")
    return hours


def _shown(status: JobStatus) -> tuple[str, str, str]:
    return (status.state, status.phase, status.provider_state)
