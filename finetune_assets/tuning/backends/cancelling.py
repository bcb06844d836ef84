"""A person's cancel of a job that no run here is watching: written down first, then asked of the provider."""

from __future__ import annotations

from finetune_assets.storage.database import Database
from finetune_assets.storage.intents import Intent, mark, request_cancel
from finetune_assets.storage.leases import lease_holder
from finetune_assets.tuning.backends.protocol import Backend
from finetune_assets.tuning.backends.recording import SUBMITTING, record_status
from finetune_assets.tuning.backends.submission import submit_lease
from finetune_assets.tuning.cloud.errors import MissingError


def cancel_job(db: Database, backend: Backend, request_key: str, *, by: str) -> Intent:
    """Ask for a job's end.

    Ending takes the service a while: until then the intent stays open with the phase `cancelling`, and whoever watches
    the job, or the sweep, writes its end down. A job that is gone, or was never submitted, is CANCELLED at once.

    Args:
        db: the database.
        backend: the job's backend.
        request_key: its intent.
        by: who wants it.

    Returns:
        The intent as it stands now.

    Raises:
        StorageError: for an unknown request, or a job that has ended.
        CloudError: when the service could not be asked; the wish stands, and the sweep carries it out.
    """
    intent = request_cancel(db, request_key, by=by)
    handle = intent.handle or _handle_of(backend, intent)
    if not handle:
        may_exist = intent.phase == SUBMITTING or lease_holder(db, submit_lease(request_key)) is not None
        if may_exist:
            return intent  # its submitter, or the sweep, finds the wish
        return mark(db, request_key, "CANCELLED", phase="", error="cancelled before it was submitted", release=True)
    backend.cancel(handle)
    try:
        status = backend.status(handle)
    except MissingError as error:
        return mark(db, request_key, "CANCELLED", phase="", error=str(error), by=by, note="the service has no such job")
    return record_status(db, request_key, status, by=by, note="cancelled")


def _handle_of(backend: Backend, intent: Intent) -> str:
    """Return the handle of a job whose submitter died before it wrote one down, "" for none."""
    return next((job.handle for job in reversed(backend.owned()) if job.run_key == intent.run_key), "")
