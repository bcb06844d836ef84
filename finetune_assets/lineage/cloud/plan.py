"""What a managed job is going to be: its request, what the preflight finds, what it costs, and whether that fits.

Made before anything is submitted; `finetune run`, `finetune doctor` and the asset show the same plan.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import orjson

from finetune_assets.lineage.runtime import TaskRun
from finetune_assets.lineage.smoke import smoke_finding
from finetune_assets.lineage.tuning_request import sends_validation
from finetune_assets.lineage.uploaded_dataset import STAGE as UPLOADED
from finetune_assets.storage.gcs.store import GcsStore
from finetune_assets.storage.intents import find_intent, list_intents
from finetune_assets.storage.ledger import Reservation, to_micros
from finetune_assets.tuning.backends.protocol import JobRequest, JobResult, JobStatus
from finetune_assets.tuning.backends.submission import attempt_of
from finetune_assets.tuning.cloud.catalogue import find_model, lookup
from finetune_assets.tuning.cloud.cost import CostEstimate, Volume, learned_ratio, reservation_of
from finetune_assets.tuning.cloud.errors import BudgetError, CloudError, ModelDeniedError, RejectedError
from finetune_assets.tuning.cloud.estimate import billed_cost, estimate
from finetune_assets.tuning.cloud.machine_hours import hourly_price
from finetune_assets.tuning.cloud.model_checks import check_mode
from finetune_assets.tuning.cloud.prices import Prices, load_prices
from finetune_assets.tuning.findings import Finding, errors_of, table_rows
from finetune_assets.tuning.preflight.files import check_files
from finetune_assets.tuning.preflight.report import PreflightReport
from finetune_assets.tuning.request import TuningRequest

JOBS = "jobs"


@dataclass(frozen=True)
class Plan:
    """A job before it is asked for.

    Attributes:
        job: what would be submitted.
        findings: what the preflight found.
        estimate: what it may cost, None where no price is known.
        refusal: why nothing may be spent on it; None where there is a reservation.
        reservation: what the budget sets aside; None where there is no estimate, or it is above what one job may cost.
        prices: the price list in force.
        is_submitted: whether the job was asked for already, so that nothing more is spent on it.
    """

    job: JobRequest
    findings: tuple[Finding, ...]
    estimate: CostEstimate | None
    refusal: CloudError | None
    reservation: Reservation | None
    prices: Prices | None = None
    is_submitted: bool = False

    @property
    def is_ready(self) -> bool:
        """Whether nothing stands in the way."""
        return not errors_of(self.findings) and self.reservation is not None

    def require(self) -> None:
        """Refuse a job that the provider would, or that nobody has agreed to pay for.

        A job that was submitted already is attached to, whatever the rules and the budget have become since.

        Raises:
            RejectedError: for the first error of the preflight.
            BudgetError: when a price is unknown or too old, or one job costs more than it may.
        """
        if self.is_submitted:
            return
        found = errors_of(self.findings)
        if found:
            first, more = found[0], len(found) - 1
            raise RejectedError(
                f"preflight refuses the job ({first.rule}{f', and {more} more' if more else ''})",
                where=first.place,
                found=first.found,
                expected=first.limit,
                mend=first.mend,
            )
        if self.refusal is not None:
            raise self.refusal

    def lines(self) -> Iterator[str]:
        """Yield what a person wants to read before the job is submitted."""
        config = self.job.request.config
        yield f"{config.backend}: {config.base_model}, {config.epochs:g} epochs, run key {self.job.run_key}"
        yield from (finding.line for finding in self.findings)
        if self.estimate is not None:
            yield from self.estimate.lines()
        if self.refusal is not None and not self.is_submitted:
            yield str(self.refusal)

    def with_container(self, uri: str, sha256: str) -> JobRequest:
        """Return the job with its trainer's job file."""
        return replace(self.job, container=uri, container_sha256=sha256)

    def actual_micros(self, result: JobResult, status: JobStatus) -> int | None:
        """Return what the job was billed by list price, in millionths of a US dollar; None where nobody can say."""
        if self.prices is None:
            return None
        config, cloud = self.job.request.config, self.job.cloud
        if config.backend == "custom_job":
            hours, settings = hours_of(status), config.job_settings
            price, _ = hourly_price(settings, cloud.location, self.prices)
            return None if hours is None else to_micros(hours * price * settings.replicas)
        if result.billable_tokens is None:
            return None
        return to_micros(billed_cost(config, cloud, result.billable_tokens, self.prices))

    def to_json(self) -> dict[str, Any]:
        """Return it for the asset's metadata and artifact."""
        job = self.job
        return {
            "run_key": job.run_key,
            "attempt": job.attempt,
            "train": job.train_uri,
            "validation": job.validation_uri,
            "output": job.output_uri,
            "rows": job.rows,
            "labels": job.labels(),
            "findings": table_rows(self.findings),
            "estimate": None if self.estimate is None else self.estimate.lines(),
        }


def plan_job(
    task: TaskRun, request: TuningRequest, store: GcsStore, variant: str, *, today: date | None = None
) -> Plan:
    """Return what would be submitted for a request; nothing is sent.

    Args:
        task: the task, its variant chosen and its settings resolved.
        request: what decides the model.
        store: the task's place in Cloud Storage.
        variant: the variant's name, "" where there are none.
        today: the day that prices are looked up for; None is today (UTC).
    """
    findings, volume = _checked(task)
    findings = (*smoke_finding(task, variant), *findings)
    price, refusal, prices = _priced(task, volume, today or datetime.now(UTC).date())
    job = _job_of(task, request, store, variant, rows=volume.rows)
    job = replace(job, estimate={} if price is None else price.record())
    reservation = None
    if price is not None:
        try:
            reservation = reservation_of(price, task.config.cloud.budget)
        except BudgetError as problem:
            refusal = problem
    return Plan(job, findings, price, refusal, reservation, prices, _is_submitted(task, request))


def _is_submitted(task: TaskRun, request: TuningRequest) -> bool:
    intent = find_intent(task.database, request.request_key)
    return intent is not None and intent.state != "INTENDED"


def _job_of(task: TaskRun, request: TuningRequest, store: GcsStore, variant: str, *, rows: int) -> JobRequest:
    """Return the job request: places in the bucket, labels and attempt."""
    uploaded = task.result(UPLOADED)
    form = task.config.tuning.rows_format
    job = JobRequest(
        request=request,
        attempt=attempt_of(task.database, request.request_key),
        cloud=task.config.cloud,
        train_uri=store.uri_of(UPLOADED, uploaded.key, f"{form}/train.jsonl"),
        validation_uri=store.uri_of(UPLOADED, uploaded.key, f"{form}/validation.jsonl")
        if request.validation_digest
        else "",
        output_uri="",
        variant=variant,
        rows=rows,
        facts={"dataset": uploaded.digest[:40]},
    )
    return replace(job, output_uri=f"{store.root}/{JOBS}/{job.run_key}")


def hours_of(status: JobStatus) -> float | None:
    """Return how long the job had its machines, None where the provider does not say."""
    if status.started is None or status.ended is None:
        return None
    return (status.ended - status.started).total_seconds() / 3600


def checked_rows(task: TaskRun) -> PreflightReport | None:
    """Return what holds of the rendered rows by the rules of the task's model; None where no provider has any.

    Args:
        task: the task, its variant chosen and its settings resolved.
    """
    config, cloud = task.config.tuning, task.config.cloud
    entry = lookup(config.base_model)
    if entry is None or not config.is_managed:
        return None
    train, validation = files_of(task)
    return check_files(train, validation, entry, config, allowed_uris=(cloud.bucket, *cloud.media))


def _checked(task: TaskRun) -> tuple[tuple[Finding, ...], Volume]:
    """Return what the preflight finds, and how much text there is to learn from."""
    findings = check_mode(task.config.tuning, task.config.cloud)
    report = checked_rows(task)
    if report is None:
        return tuple(findings), _volume_of_chat(files_of(task)[0])
    return (*findings, *report.findings), report.train.volume


def _volume_of_chat(path: Path) -> Volume:
    rows = asked = answered = 0
    with path.open("rb") as stream:
        for line in stream:
            turns = orjson.loads(line)["messages"]
            rows += 1
            answered += len(turns[-1]["content"])
            asked += sum(len(turn["content"]) for turn in turns[:-1])
    return Volume(rows, asked, answered)


def files_of(task: TaskRun) -> tuple[Path, Path | None]:
    """Return the rendered training and validation rows that the backend reads, None for validation rows it gets not."""
    uploaded, form = task.result(UPLOADED), task.config.tuning.rows_format
    validation = uploaded.file(f"{form}/validation.jsonl") if sends_validation(task, uploaded) else None
    return uploaded.file(f"{form}/train.jsonl"), validation


def _priced(task: TaskRun, volume: Volume, today: date) -> tuple[CostEstimate | None, CloudError | None, Prices | None]:
    config, cloud = task.config.tuning, task.config.cloud
    prices = None
    try:
        prices = load_prices(cloud.budget, task.folder, today=today)
        learned = None
        if config.is_managed:
            learned = learned_ratio(
                list_intents(task.database), find_model(config.base_model).id, config.managed_settings.mode
            )
        return estimate(config, cloud, volume, prices, learned=learned), None, prices
    except (BudgetError, ModelDeniedError) as problem:
        return None, problem, prices
