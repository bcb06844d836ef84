"""`finetune jobs`: tuning jobs at a provider, as they were written down and as the provider sees them."""

import getpass
from typing import Annotated, Any

import typer
from rich.table import Table

from finetune_assets.cli.common import AsJson, err, find_task, home_folder, out, print_json
from finetune_assets.storage.database import Database

jobs = typer.Typer(name="jobs", no_args_is_help=True, help="Tuning jobs: list, show, cancel, retry, adopt.")

Key = Annotated[
    str, typer.Argument(help="The job's request key, as `finetune jobs list` shows it.", show_default=False)
]
OfTask = Annotated[str, typer.Option("--task", help="Only this task's.")]
_COLUMNS = ("key", "task", "backend", "state", "phase", "attempt", "estimate", "billed", "updated")


def _database() -> Database:
    return Database.open(home_folder().database_url)


def _dollars(micros: int | None) -> str:
    return "" if micros is None else f"${micros / 1e6:,.2f}"


def _facts(intent: Any) -> dict[str, Any]:
    """Return a job as JSON; amounts in US dollars."""
    return {
        "key": intent.request_key,
        "task": intent.task,
        "variant": intent.variant,
        "backend": intent.backend,
        "state": intent.state,
        "phase": intent.phase,
        "provider_state": intent.provider_state,
        "attempt": intent.attempt,
        "run_key": intent.run_key,
        "handle": intent.handle,
        "error": intent.error,
        "estimate_usd": [
            None if value is None else value / 1e6
            for value in (intent.estimate_low, intent.estimate_mid, intent.estimate_high)
        ],
        "prices_as_of": intent.prices_as_of,
        "billable_tokens": intent.billable_tokens,
        "billed_usd": None if intent.actual_cost is None else intent.actual_cost / 1e6,
        "cancel_requested_by": intent.cancel_requested_by,
        "created": intent.created_at.isoformat(),
        "updated": intent.updated_at.isoformat(),
        "request": dict(intent.request),
    }


@jobs.command("list")
def list_jobs(
    task: OfTask = "",
    every: Annotated[bool, typer.Option("--all", help="Local ones too.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the jobs that were submitted to a provider, newest first."""
    from finetune_assets.storage.intents import list_intents

    found = [intent for intent in list_intents(_database(), task or None) if every or intent.is_paid]
    found.sort(key=lambda intent: intent.created_at, reverse=True)
    if as_json:
        print_json([_facts(intent) for intent in found])
        return
    table = Table()
    for name in _COLUMNS:
        table.add_column(name, no_wrap=name == "key")
    for intent in found:
        name = f"{intent.task}/{intent.variant}" if intent.variant else intent.task
        table.add_row(
            intent.request_key, name, intent.backend, intent.state, intent.phase, str(intent.attempt),
            _dollars(intent.estimate_mid), _dollars(intent.actual_cost), f"{intent.updated_at:%Y-%m-%d %H:%M}",
        )  # fmt: skip
    out.print(table if found else "no job was submitted to a provider yet")


@jobs.command()
def show(key: Key, as_json: AsJson = False) -> None:
    """Show one job: how it stands, what it was estimated and billed, and every change of its state."""
    from finetune_assets.lineage.cloud.sweep import known_job
    from finetune_assets.storage.intents import events_of

    db = _database()
    intent = known_job(db, key)
    events = events_of(db, key)
    facts = _facts(intent)
    if as_json:
        facts["events"] = [
            {"at": event.at.isoformat(), "attempt": event.attempt, "from": event.from_state, "to": event.to_state,
             "phase": event.phase, "provider_state": event.provider_state, "by": event.by, "note": event.note}
            for event in events
        ]  # fmt: skip
        print_json(facts)
        return
    for name, value in facts.items():
        if name != "request" and value not in ("", None):
            out.print(f"{name:>20}  {value}", soft_wrap=True, markup=False)
    table = Table("at", "attempt", "state", "phase", "the provider says", "by", title="changes", title_justify="left")
    for event in events:
        table.add_row(
            f"{event.at:%Y-%m-%d %H:%M:%S}", str(event.attempt), event.to_state, event.phase, event.provider_state,
            event.by,
        )  # fmt: skip
    out.print(table)


@jobs.command()
def cancel(key: Key) -> None:
    """Ask the provider to end a job. What it did until then may be billed."""
    from finetune_assets.lineage.cloud.sweep import backend_for, known_job
    from finetune_assets.tuning.backends.cancelling import cancel_job

    db = _database()
    intent = cancel_job(db, backend_for(known_job(db, key)), key, by=getpass.getuser())
    out.print(f"{key}: {intent.state} {intent.phase}".rstrip())


@jobs.command()
def retry(
    key: Key,
    reason: Annotated[str, typer.Option(help="Why another attempt is worth its price.", show_default=False)],
) -> None:
    """Open another attempt of a job that failed, was cancelled or expired; the next run submits it."""
    from finetune_assets.lineage.cloud.sweep import known_job
    from finetune_assets.storage.intents import retry_intent

    db = _database()
    task = known_job(db, key).task
    intent = retry_intent(db, key, by=getpass.getuser(), reason=reason)
    out.print(f"{key}: attempt {intent.attempt} is open; `finetune run {task}` submits it, and it may be billed again")


@jobs.command()
def adopt(task: Annotated[str, typer.Argument(help="A task with a cloud backend.", show_default=False)]) -> None:
    """Look the task's jobs up at the provider: adopt orphans, finish what ended, and report what nobody claims."""
    from finetune_assets.lineage.cloud.sweep import report_lines, sweep_task
    from finetune_assets.lineage.comparing import open_here

    report = sweep_task(open_here(find_task(task), home_folder()), by=getpass.getuser())
    for line in report_lines(report):
        out.print(line, markup=False)
    if report.is_quiet:
        err.print("every job at the provider is known here, and every job here is known there")
