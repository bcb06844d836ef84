"""The database's tables as SQLAlchemy models. Every change here needs a migration; a test compares the two."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from finetune_assets.storage import feedback_models as feedback_models
from finetune_assets.storage import key_models as key_models
from finetune_assets.storage.model_base import Base as Base
from finetune_assets.storage.model_base import UtcDateTime as UtcDateTime

SCHEMA_REVISION = "0007"
"""The newest migration; known here so that opening an up-to-date database need not load Alembic."""

APPEND_ONLY = (
    "pointer_history",
    "release_events",
    "approvals",
    "reports",
    "dataset_versions",
    "dataset_restores",
    "tuning_events",
    "budget_ledger",
    "case_events",
    "case_corrections",
    "case_asides",
    "case_sides",
    "feedback",
    "forget_log",
    "trigger_events",
)
"""Tables whose rows are evidence: the migration gives them triggers that refuse UPDATE and DELETE."""


class ReleaseRow(Base):
    """A candidate on its way to live; `version` counts 1, 2, … within a task."""

    __tablename__ = "releases"
    __table_args__ = (UniqueConstraint("task", "version"), UniqueConstraint("task", "candidate"))

    id: Mapped[int] = mapped_column(primary_key=True)
    task: Mapped[str]
    version: Mapped[int]
    candidate: Mapped[str]
    state: Mapped[str]
    base_model: Mapped[str]
    request_key: Mapped[str]
    dataset_digest: Mapped[str]
    report_key: Mapped[str]
    report_digest: Mapped[str]
    artifact_key: Mapped[str]
    scores: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class ReleaseEventRow(Base):
    """One change of a release's state; append-only."""

    __tablename__ = "release_events"
    __table_args__ = (Index(None, "release_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    release_id: Mapped[int] = mapped_column(ForeignKey("releases.id"))
    from_state: Mapped[str]
    to_state: Mapped[str]
    at: Mapped[datetime]
    by: Mapped[str]
    note: Mapped[str]
    run_id: Mapped[str]


class PointerRow(Base):
    """One move of a task's live pointer; the row with the highest `seq` is the pointer. Append-only."""

    __tablename__ = "pointer_history"
    __table_args__ = (UniqueConstraint("task", "seq"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    task: Mapped[str]
    seq: Mapped[int]
    release_id: Mapped[int] = mapped_column(ForeignKey("releases.id"))
    previous_release_id: Mapped[int | None] = mapped_column(ForeignKey("releases.id"))
    action: Mapped[str]
    at: Mapped[datetime]
    by: Mapped[str]
    run_id: Mapped[str]


class ApprovalRow(Base):
    """One decision about a candidate, bound to the report it was made on; append-only."""

    __tablename__ = "approvals"
    __table_args__ = (Index(None, "task", "candidate"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    task: Mapped[str]
    candidate: Mapped[str]
    report_digest: Mapped[str]
    decision: Mapped[str]
    approver: Mapped[str]
    authenticated: Mapped[bool]
    policy: Mapped[str]
    note: Mapped[str]
    at: Mapped[datetime]
    channel: Mapped[str | None]
    pointer_seq: Mapped[int | None]


class ApprovalCodeRow(Base):
    """A single-use code, stored as its SHA-256."""

    __tablename__ = "approval_codes"

    id: Mapped[int] = mapped_column(primary_key=True)
    code_hash: Mapped[str] = mapped_column(unique=True)
    task: Mapped[str]
    candidate: Mapped[str]
    decision: Mapped[str]
    approver: Mapped[str]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    channel: Mapped[str | None]


class LeaseRow(Base):
    """Who holds a name, and until when. A free lease keeps its row, for its fence must go on growing."""

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(primary_key=True)
    holder: Mapped[str]
    host: Mapped[str]
    pid: Mapped[int]
    process_started: Mapped[str]
    acquired_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    fence: Mapped[int]


class TuningIntentRow(Base):
    """A tuning job that is to exist at most once per request key; amounts are millionths of a US dollar."""

    __tablename__ = "tuning_intents"

    request_key: Mapped[str] = mapped_column(primary_key=True)
    task: Mapped[str]
    backend: Mapped[str]
    state: Mapped[str]
    handle: Mapped[str]
    attempt: Mapped[int]
    error: Mapped[str]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    run_key: Mapped[str | None] = mapped_column(unique=True)
    namespace: Mapped[str]
    variant: Mapped[str]
    phase: Mapped[str]
    phase_since: Mapped[datetime | None]
    provider_state: Mapped[str]
    submitted_at: Mapped[datetime | None]
    cancel_requested_by: Mapped[str]
    request: Mapped[dict[str, Any]]
    estimate_low: Mapped[int | None] = mapped_column(BigInteger)
    estimate_mid: Mapped[int | None] = mapped_column(BigInteger)
    estimate_high: Mapped[int | None] = mapped_column(BigInteger)
    currency: Mapped[str]
    prices_as_of: Mapped[str]
    billable_tokens: Mapped[int | None] = mapped_column(BigInteger)
    actual_cost: Mapped[int | None] = mapped_column(BigInteger)


class TuningEventRow(Base):
    """One change of a tuning job: its state, its phase or the provider's word for it; append-only."""

    __tablename__ = "tuning_events"
    __table_args__ = (Index(None, "request_key"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    request_key: Mapped[str] = mapped_column(ForeignKey("tuning_intents.request_key"))
    attempt: Mapped[int]
    run_key: Mapped[str]
    from_state: Mapped[str]
    to_state: Mapped[str]
    phase: Mapped[str]
    provider_state: Mapped[str]
    handle: Mapped[str]
    at: Mapped[datetime]
    by: Mapped[str]
    note: Mapped[str]


class BudgetMonthRow(Base):
    """A task's calendar month (UTC); whoever reserves, releases or settles locks it first."""

    __tablename__ = "budget_months"

    task: Mapped[str] = mapped_column(primary_key=True)
    month: Mapped[str] = mapped_column(primary_key=True)


class BudgetEntryRow(Base):
    """One entry of the ledger: by how many millionths of a US dollar a task's month grows or shrinks. Append-only."""

    __tablename__ = "budget_ledger"
    __table_args__ = (UniqueConstraint("run_key", "seq"), Index(None, "task", "month"))

    id: Mapped[int] = mapped_column(primary_key=True)
    task: Mapped[str]
    month: Mapped[str]
    run_key: Mapped[str]
    seq: Mapped[int]
    kind: Mapped[str]
    amount: Mapped[int] = mapped_column(BigInteger)
    at: Mapped[datetime]
    by: Mapped[str]
    note: Mapped[str]


class DatasetVersionRow(Base):
    """A version of a task's dataset; the head of a namespace is the row with the highest `number`. Append-only."""

    __tablename__ = "dataset_versions"
    __table_args__ = (UniqueConstraint("task", "namespace", "number"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    task: Mapped[str]
    namespace: Mapped[str]
    number: Mapped[int]
    inputs_key: Mapped[str]
    artifact_key: Mapped[str]
    digest: Mapped[str]
    created_at: Mapped[datetime]


class DatasetRestoreRow(Base):
    """A version that is an older one made head again, who did it and when; append-only."""

    __tablename__ = "dataset_restores"

    id: Mapped[int] = mapped_column(primary_key=True)
    version_id: Mapped[int] = mapped_column(ForeignKey("dataset_versions.id"), unique=True)
    restored_from: Mapped[int]
    by: Mapped[str]
    at: Mapped[datetime]


class ReportRow(Base):
    """A validation report that a run made or found again; the latest of a namespace is the one with the highest id.

    `policy` says by which rules it may be decided on: what the gateway has to know, which never reads defs.yaml.
    """

    __tablename__ = "reports"
    __table_args__ = (Index(None, "task", "namespace"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    task: Mapped[str]
    namespace: Mapped[str]
    report_key: Mapped[str]
    digest: Mapped[str]
    candidate: Mapped[str]
    baseline: Mapped[str]
    verdict: Mapped[str]
    run_id: Mapped[str]
    created_at: Mapped[datetime]
    policy: Mapped[dict[str, Any] | None]


class StageResultRow(Base):
    """The artifact that a run made or took over as a stage's result; the newest of a namespace has the highest id."""

    __tablename__ = "stage_results"
    __table_args__ = (Index(None, "task", "namespace", "stage"), Index(None, "run_id"))

    id: Mapped[int] = mapped_column(primary_key=True)
    task: Mapped[str]
    namespace: Mapped[str]
    stage: Mapped[str]
    run_id: Mapped[str]
    kind: Mapped[str]
    key: Mapped[str]
    digest: Mapped[str]
    reused: Mapped[bool]
    created_at: Mapped[datetime]
