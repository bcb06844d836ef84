"""Long-running operations: waiting for one by its name, through every passing failure.

Google's own `result()` dies of a 429, 500 or 504 on the way; an operation goes on without us, so that its name is kept
before anybody waits, and waiting can begin anew from the name alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from finetune_assets.serving.cloud.calls import Patience, Turns, late
from finetune_assets.tuning.cloud.errors import JobFailedError, MissingError, QuotaError, UnavailableError
from finetune_assets.tuning.cloud.faults import Action, Explained

NoteOperation = Callable[[str], object]
"""Called with an operation's name before it is waited for: the caller writes it down."""

_QUOTA_CODE = 8  # google.rpc.Code.RESOURCE_EXHAUSTED


def forget(_: str) -> None:
    """Write nothing down: for operations that are found again without their name."""


def wait(client: Any, name: str, patience: Patience) -> Any:
    """Wait until an operation is done.

    Args:
        client: any gapic client of Vertex AI; operations are read through it.
        name: the operation's full name.
        patience: how often it is looked at, and for how long.

    Returns:
        The operation (`google.longrunning.operations_pb2.Operation`); its `response` is an Any.

    Raises:
        JobFailedError: when the operation failed or was cancelled; `found` holds the service's words.
        MissingError: when the service has forgotten it: operations are kept for some weeks.
        DeadlineError: when it is not done in time, or could not be looked at for too long.
    """
    turns = patience.turns()
    seen = patience.clock()
    action = Action("an operation cannot be looked at", where=name)
    while True:
        try:
            with Explained(action):
                operation = client.get_operation({"name": name}, timeout=60.0, retry=None)
            if operation.done:
                return _checked(operation, name)
            seen, state = patience.clock(), "it is under way"
        except (UnavailableError, QuotaError) as error:
            state = error.found
            if patience.clock() - seen > patience.outage_s:
                raise late("an operation could not be looked at", name, state) from error
        turns.rest(late("an operation is not done in time", name, state))


def settle(client: Any, name: str, patience: Patience) -> None:
    """Wait for an operation of an earlier run, which may be forgotten or have failed: what is there is looked up."""
    try:
        wait(client, name, patience)
    except (MissingError, JobFailedError):
        return


def delete(client: Any, what: str, where: str, ask: Callable[[], str], patience: Patience) -> None:
    """Delete something and wait for it; that it is gone already is fine.

    Args:
        client: the gapic client that makes the call, which reads its operation.
        what: what did not work when it fails, for the error.
        where: what is deleted.
        ask: deletes, and returns the operation's name.
        patience: how long and how often.
    """
    turns = Turns(patience, patience.clock() + min(patience.outage_s, patience.deadline_s))
    while True:
        try:
            # Deleting twice is deleting once: an unclear answer may simply be repeated.
            with Explained(Action(what, where=where)):
                operation = ask()
            wait(client, operation, patience)
            return
        except MissingError:
            return
        except (UnavailableError, QuotaError) as error:
            turns.rest(error)


def _checked(operation: Any, name: str) -> Any:
    error = operation.error
    if not error.code:
        return operation
    quota = error.code == _QUOTA_CODE or "quota" in error.message.lower()
    raise JobFailedError(
        "an operation failed",
        where=name,
        found=error.message or f"code {error.code}",
        mend="ask for more of the quota that it names, or choose other machines or another location"
        if quota
        else "mend what it names and run again",
    )
