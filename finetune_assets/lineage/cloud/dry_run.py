"""A submission that is shown and not made: each variant's request as it would be sent, its price, and the budget.

Nothing is asked of the cloud, nothing is submitted, and no intent is written: it works without credentials.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from finetune_assets.lineage.bases import Base, find_base, is_here
from finetune_assets.lineage.budgets import Budget, budget_of
from finetune_assets.lineage.cloud.doctor import how_to_get_rows
from finetune_assets.lineage.cloud.doors import resolved_task
from finetune_assets.lineage.cloud.plan import Plan, plan_job
from finetune_assets.lineage.runtime import TaskRun
from finetune_assets.lineage.tuning_request import ADAPTER, request_of
from finetune_assets.lineage.uploaded_dataset import STAGE as UPLOADED
from finetune_assets.records.errors import FinetuneError
from finetune_assets.storage.clock import utc_now
from finetune_assets.storage.errors import StorageError
from finetune_assets.storage.gcs.store import GcsStore
from finetune_assets.storage.intents import find_intent
from finetune_assets.storage.ledger import Reservation, month_of, to_micros, to_usd
from finetune_assets.tuning.backends.protocol import JobRequest
from finetune_assets.tuning.backends.registry import backend_of
from finetune_assets.tuning.backends.shown import as_sent
from finetune_assets.tuning.cloud.clients import CloudClients
from finetune_assets.tuning.cloud.cost import CostEstimate
from finetune_assets.tuning.cloud.errors import CloudError
from finetune_assets.tuning.findings import table_rows
from finetune_assets.tuning.managed_config import MANAGED

# Written when the job is submitted; until then a request names this.
_JOB_FILE = "written-at-submission/job.json"
_JOB_SHA256 = "its-sha256"
_NOT_KNOWN = "not known before the base model is here"


@dataclass(frozen=True)
class Submission:
    """What one variant's tuning would be.

    Attributes:
        variant: its name, "" where there are none.
        backend: who would tune.
        state: `would be submitted`, `refused`, `trained here`, or what is there already.
        why: why it is refused, a line each.
        request_key: identity of the tuning.
        run_key: the label of the job, "" for a local one.
        request: what the service would be asked for, None where it cannot be made.
        estimate: US dollars, `low`, `mid`, `high`, `parts`, `apart` and `assumed`; None where there is none.
        findings: what the preflight found, as rows of a table.
    """

    variant: str
    backend: str
    state: str
    why: list[str] = field(default_factory=list)
    request_key: str = ""
    run_key: str = ""
    request: dict[str, Any] | None = None
    estimate: dict[str, Any] | None = None
    findings: list[dict[str, str]] = field(default_factory=list)

    @property
    def is_refused(self) -> bool:
        """Whether it would not be submitted."""
        return self.state == "refused"

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return asdict(self)


def budget_left(task: TaskRun) -> Budget:
    """Return this month's budget; nothing is left where more was spent than the limit."""
    limit = task.config.cloud.budget.monthly_usd
    found = budget_of(task.database, task.task, month_of(utc_now()), limit)
    return found if found.left is None else replace(found, left=max(0.0, found.left))


def submissions(task: TaskRun) -> Iterator[Submission]:
    """Yield what each variant's tuning would be.

    Args:
        task: the task; see `doctor.looked_at`.
    """
    for variant, config in task.config.tuning.by_variant().items():
        try:
            _require_rows(task)
            yield _submission(task, variant)
        except (FinetuneError, StorageError) as problem:
            yield Submission(variant, config.backend, "refused", [str(problem)])


def _require_rows(task: TaskRun) -> None:
    try:
        task.result(UPLOADED)
    except FinetuneError:
        raise FinetuneError("there are no rows yet", where=task.task, mend=how_to_get_rows(task)) from None


def _submission(whole: TaskRun, variant: str) -> Submission:
    task = resolved_task(whole.for_variant(variant))
    backend = task.config.tuning.backend
    base, is_known = _base(task)
    request = request_of(task, base)
    key = request.request_key if is_known else _NOT_KNOWN
    if not task.config.tuning.is_cloud:
        settings = task.config.tuning.identity()
        return Submission(variant, backend, _there(task, key) or "trained here", request_key=key, request=settings)
    store = GcsStore(None, task.config.cloud.bucket)
    plan = plan_job(task, request, store, variant)
    sent, problem = _sent(task, _complete(plan, store))
    if not is_known:
        sent = _without_keys(sent, plan.job)
    why = [*_objections(task, plan), *([problem] if problem else [])]
    there = _there(task, key)
    return Submission(
        variant,
        backend,
        there or ("refused" if why else "would be submitted"),
        [] if there else why,
        key,
        plan.job.run_key if is_known else _NOT_KNOWN,
        sent,
        None if plan.estimate is None else _priced(plan.estimate),
        table_rows(plan.findings),
    )


def _base(task: TaskRun) -> tuple[Base, bool]:
    """Return the base, and whether it is known; weights are not fetched for a look."""
    if task.config.tuning.backend in MANAGED or is_here(task):
        return find_base(task), True
    return Base(task.config.tuning.base_model, None, _NOT_KNOWN, ""), False


def _complete(plan: Plan, store: GcsStore) -> JobRequest:
    if plan.job.request.config.backend in MANAGED:
        return plan.job
    return plan.with_container(f"{store.root}/{_JOB_FILE}", _JOB_SHA256)


def _sent(task: TaskRun, job: JobRequest) -> tuple[dict[str, Any] | None, str]:
    backend = backend_of(task.config.tuning.backend, CloudClients(task.config.cloud, os.environ))
    try:
        return as_sent(backend, job), ""
    except CloudError as problem:
        return None, str(problem)


def _without_keys(sent: dict[str, Any] | None, job: JobRequest) -> dict[str, Any] | None:
    """Return a request without the keys that nobody knows before the base model is here."""
    text = json.dumps(sent)
    for key in (job.run_key, job.request.request_key, job.run_key[:8]):
        text = text.replace(key, "NOT-KNOWN-YET")
    found: dict[str, Any] | None = json.loads(text)
    return found


def _objections(task: TaskRun, plan: Plan) -> list[str]:
    """Return what would keep the job from being submitted, as `Plan.require` and the ledger say it."""
    told = []
    try:
        plan.require()
    except CloudError as problem:
        told.append(str(problem))
    if plan.reservation is not None:
        told += _too_dear(task, plan.reservation)
    return told


def _too_dear(task: TaskRun, reservation: Reservation) -> list[str]:
    budget = budget_left(task)
    if budget.left is None or reservation.high <= to_micros(budget.left):
        return []
    return [
        f"the job does not fit the month's budget: ${to_usd(reservation.high):,.2f} by the high figure, "
        f"${budget.left:,.2f} left of ${budget.limit or 0:,.2f} in {budget.month}"
    ]


def _there(task: TaskRun, key: str) -> str:
    """Return what is there of this very request already, "" for nothing."""
    if task.artifacts.find(ADAPTER, key) if key != _NOT_KNOWN else None:
        return "tuned already: its result is taken over"
    intent = find_intent(task.database, key)
    if intent is None or intent.state == "INTENDED":
        return ""
    if intent.ended_badly:
        return f"{intent.state}: `finetune jobs retry {key}` opens another attempt"
    return f"under way ({intent.state} {intent.phase}".rstrip() + "): a run attaches to it"


def _priced(estimate: CostEstimate) -> dict[str, Any]:
    total = estimate.total
    return {
        "low": total.low,
        "mid": total.mid,
        "high": total.high,
        "as_of": str(estimate.as_of),
        "parts": [asdict(part) for part in estimate.parts],
        "apart": [asdict(part) for part in estimate.apart],
        "assumed": list(estimate.assumptions),
        "lines": estimate.lines(),
    }
