"""What the commands print: progress while a run goes on, and what came of it."""

import logging
import re
from types import TracebackType
from typing import Any

import dagster as dg
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from finetune_assets.cli.chain import Outcome
from finetune_assets.cli.report_view import headline, print_report
from finetune_assets.lineage.judging import REPORT
from finetune_assets.lineage.report_files import PAGE
from finetune_assets.lineage.status import StatusReader
from finetune_assets.lineage.task_config import TaskSpec
from finetune_assets.records.digests import short
from finetune_assets.storage.database import Database
from finetune_assets.storage.files import read_json
from finetune_assets.storage.home import Home

SAY_EVERY_SECONDS = 5.0
# What Dagster logs about each step behind a failed gate; the gate itself has been shown.
_SKIPPED_STEP = "Dependencies for step"
_NUMBER = re.compile(r"\d[\d.,]*")


class Progress:
    """Prints a run's events as they come: a line for each asset, check and message of the work."""

    def __init__(self, console: Console, spec: TaskSpec) -> None:
        self._console = console
        self._spec = spec
        self._said_at = 0.0
        self._said: set[str] = set()

    def __enter__(self) -> "Progress":
        self._status = self._console.status(f"{self._spec.name}: starting")
        self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._status.stop()

    def event(self, entry: Any) -> None:
        """Print one event of the run, if it is one for a person."""
        event = entry.dagster_event
        if event is None:
            self._message(entry)
        elif event.is_step_materialization:
            materialization = event.step_materialization_data.materialization
            reused = materialization.metadata.get("reused")
            word = "[dim]reused[/]" if reused is not None and reused.value else "[green]made[/]"
            self._console.print(f"  {word:<14} {'/'.join(materialization.asset_key.path)}")
        elif event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            self._check(event.asset_check_evaluation_data)
        elif event.event_type == dg.DagsterEventType.STEP_START:
            self._said.clear()
            self._status.update(f"{event.step_key.replace('__', '/')} …")

    def _message(self, entry: Any) -> None:
        if entry.level < logging.INFO or not entry.user_message or entry.user_message.startswith(_SKIPPED_STEP):
            return
        text = escape(entry.user_message.splitlines()[0])
        self._status.update(f"{text}")
        # The first of its kind in a step stays to be read: an estimate, a job's link, a change of its state. Of a count
        # that goes up one is shown now and then where there is no status line, or long work looks dead.
        kind = _NUMBER.sub("#", text)
        is_due = not self._console.is_terminal and entry.timestamp - self._said_at >= SAY_EVERY_SECONDS
        if kind not in self._said or is_due:
            self._said.add(kind)
            self._said_at = entry.timestamp
            self._console.print(f"      [dim]{text}[/]")

    def _check(self, evaluation: Any) -> None:
        if evaluation.passed:
            mark = "[green]pass[/]"
        else:
            mark = "[red]FAIL[/]" if evaluation.severity == dg.AssetCheckSeverity.ERROR else "[yellow]warn[/]"
        asset = "/".join(evaluation.asset_key.path)
        self._console.print(
            f"    {mark} {asset}: {evaluation.check_name} [dim]{escape(evaluation.description or '')}[/]"
        )


def print_outcome(console: Console, spec: TaskSpec, outcome: Outcome, instance: dg.DagsterInstance, home: Home) -> None:
    """Print what a run built: rows, scores, the gate's verdict, the live release and the next commands."""
    reader = StatusReader(home, Database.open(home.database_url), instance)
    console.rule(f"{spec.name}: run {outcome.result.run_id}")
    if spec.config.dataset.source.synthetic:
        console.print("[dim]The records of this task are synthetic: written by a script, about no real person.[/]")
    _print_counts(console, own_counts(reader.counts(spec.name, outcome.namespace), outcome))
    report = reader.stage(spec.name, outcome.namespace, REPORT) if REPORT in outcome.stages else None
    if report is not None and _made(outcome, REPORT):
        print_report(console, read_json(report.file("report.json")))
        page = report.path / PAGE
        console.print(f"Report: {page if page.is_file() else report.file('report.md')}", soft_wrap=True)
    _print_live(console, reader.live(spec.name))
    verdict = str(report.manifest.get("verdict", "")) if report and _made(outcome, REPORT) else ""
    _print_next(console, spec, outcome, report.manifest["candidate"] if report else "", verdict)


def _made(outcome: Outcome, stage: str) -> bool:
    return stage in outcome.result.metadata


def own_counts(counts: dict[str, int | None], outcome: Outcome) -> dict[str, int | None]:
    """Return the counts of what this run made or reused; where it broke off, those behind are an earlier run's."""
    known = set(counts)
    if "validated_splits" in outcome.stages and not _made(outcome, "validated_splits"):
        known = {"read"}
    if "raw_observations" in outcome.stages and not _made(outcome, "raw_observations"):
        known = set()
    return {name: count if name in known else None for name, count in counts.items()}


def _print_counts(console: Console, counts: dict[str, int | None]) -> None:
    table = Table(title="Rows", title_justify="left")
    for name in counts:
        table.add_column(name, justify="right")
    table.add_row(*(_count(count) for count in counts.values()))
    console.print(table)


def _print_live(console: Console, live: dict[str, Any] | None) -> None:
    if live is None:
        console.print("Live: [yellow]nothing yet[/]")
        return
    scores = ", ".join(f"{name} {value:.3f}" for name, value in live["scores"].items())
    console.print(f"Live: [bold green]version {live['version']}[/], candidate {short(live['candidate'])} ({scores})")


def _print_next(console: Console, spec: TaskSpec, outcome: Outcome, candidate: str, verdict: str) -> None:
    name = spec.name
    lines = ["finetune status", "make ui    # the graph, its checks and every chart in the browser"]
    if outcome.result.success and outcome.is_smoke:
        lines.insert(0, f"finetune run {name}    # the smoke test succeeded: now with all rows")
    elif outcome.result.success and outcome.is_experiment:
        lines.insert(0, "# an experiment is never released; put its values into defs.yaml to release it")
    elif outcome.stops_for_approval and (outcome.result.success or verdict in outcome.open_to_people):
        short_id = short(candidate)
        lines = [
            *([f"# {outcome.approvers} people have to approve it"] if outcome.approvers > 1 else []),
            f'finetune approve {name} {short_id} --note "why"',
            f'finetune reject {name} {short_id} --note "why"',
            *lines,
        ]
    elif outcome.result.success and _made(outcome, "deployed_endpoint"):
        lines = [f'finetune ask {name} "your text"', "finetune serve", *lines]
    console.print("Next:")
    for line in lines:
        console.print(f"  {escape(line)}", soft_wrap=True)


def print_decision(
    console: Console, spec: TaskSpec, outcome: Outcome, decision: str, instance: dg.DagsterInstance, home: Home
) -> None:
    """Print what a decision led to."""
    standing = outcome.standing
    if outcome.result.success and standing is not None and decision == "approve" and standing.outcome != "approve":
        console.print(f"{decision}: recorded; {escape(standing.sentence)}", soft_wrap=True)
        missing = standing.approvals[0].candidate if standing.outcome == "open" and standing.approvals else ""
        if missing:
            console.print(f'another person runs: finetune approve {spec.name} {short(missing)} --note "why"')
    elif outcome.result.success:
        console.print(f"{decision}: done")
    reader = StatusReader(home, Database.open(home.database_url), instance)
    _print_live(console, reader.live(spec.name))


def print_status(console: Console, states: list[dict[str, Any]]) -> None:
    """Print the state of tasks as a table."""
    table = Table()
    for name in ("task", "live", "last run", "rows", "train / validation / test"):
        table.add_column(name)
    for state in states:
        live, last, counts = state["live"], state["last_run"], state["counts"]
        table.add_row(
            f"{state['task']}\n[dim]{state['task_type']}[/]",
            f"version {live['version']}, {short(live['candidate'])}\n[dim]{headline(live['scores'])}[/]"
            if live
            else "nothing yet",
            f"{last['state']}\n[dim]gate {last['gate'] or '–'}[/]" if last else "none yet",
            f"{_count(counts['read'])} read\n[dim]{_count(counts['quarantined'])} quarantined, "
            f"{_count(counts['duplicates'])} duplicates[/]",
            " / ".join(_count(counts[name]) for name in ("train", "validation", "test")),
        )
    console.print(table)


def _count(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def print_tasks(console: Console, rows: list[dict[str, str]]) -> None:
    """Print the tasks as a table."""
    table = Table()
    for name in ("task", "task_type", "description"):
        table.add_column(name)
    for row in rows:
        table.add_row(row["task"], row["task_type"], row["description"])
    console.print(table)


def print_config(console: Console, rows: list[tuple[str, Any, str]]) -> None:
    """Print settings with their origin; those that are no default stand out."""
    table = Table()
    for name in ("setting", "value", "from"):
        table.add_column(name, overflow="fold")
    for path, value, origin in rows:
        style = "dim" if origin == "default" else ""
        table.add_row(escape(path), escape(repr(value)), escape(origin), style=style)
    console.print(table)


def print_answer(console: Console, answer: dict[str, Any]) -> None:
    """Print one answer of a live release."""
    release = answer["release"]
    for name, value in answer["answer"].items():
        console.print(f"[bold]{escape(name)}[/]  {escape(str(value))}", soft_wrap=True)
    console.print(
        f"[dim]version {release['version']}, candidate {short(release['candidate'])}, {answer['latency_ms']:.0f} ms[/]"
    )


__all__ = [
    "Progress",
    "print_answer",
    "print_config",
    "print_decision",
    "print_outcome",
    "print_status",
    "print_tasks",
]
