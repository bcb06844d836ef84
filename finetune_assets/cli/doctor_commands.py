"""`finetune doctor`: is this machine ready, is a task's project ready, and what would be submitted."""

import json
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer
from rich.markup import escape

from finetune_assets.cli.common import EXIT_ERROR, AsJson, find_task, home_folder, out, print_json

if TYPE_CHECKING:
    from finetune_assets.lineage.budgets import Budget
    from finetune_assets.lineage.cloud.dry_run import Submission
    from finetune_assets.lineage.machine_checks import Look

_COLOURS = {"ok": "green", "warning": "yellow", "error": "red", "not checked": "dim"}


def doctor(
    task: Annotated[Optional[str], typer.Argument(help="A task; without it, this machine alone.")] = None,  # noqa: UP045
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the requests that would be sent, and their price; send nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Look whether this machine, and with a task its project, is ready; exit code 1 when something is wrong."""
    if dry_run and not task:
        raise typer.BadParameter("--dry-run needs a task")
    looks, submissions, budget = _dry_run(task) if task and dry_run else (_looks(task, say=not as_json), [], None)
    if as_json:
        told: dict[str, Any] = {"ready": True, "looks": [look.to_json() for look in looks]}
        if dry_run and budget is not None:
            told |= {"submissions": [item.to_json() for item in submissions], "budget": vars(budget)}
        told["ready"] = not _is_wrong(looks, submissions)
        print_json(told)
    elif budget is not None:
        for item in submissions:
            _print_submission(item)
        _print_budget(budget)
    if _is_wrong(looks, submissions):
        raise typer.Exit(EXIT_ERROR)


def _is_wrong(looks: "list[Look]", submissions: "list[Submission]") -> bool:
    return any(look.state == "error" for look in looks) or any(item.is_refused for item in submissions)


def _looks(task: str | None, *, say: bool) -> "list[Look]":
    """Look at one thing after the other, and print each as soon as it is known."""
    from finetune_assets.lineage.machine_checks import check_machine

    looks = []
    for look in check_machine(home_folder()):
        looks.append(look)
        if say:
            _print_look(look)
    # A task's look reads the database, which a broken machine may not have.
    if task and not any(look.state == "error" and look.name in ("home", "database") for look in looks):
        from finetune_assets.lineage.cloud.doctor import check_task, looked_at
        from finetune_assets.lineage.comparing import open_here

        for look in check_task(looked_at(open_here(find_task(task), home_folder()))):
            looks.append(look)
            if say:
                _print_look(look)
    return looks


def _dry_run(name: str) -> "tuple[list[Look], list[Submission], Budget]":
    from finetune_assets.lineage.cloud.doctor import looked_at
    from finetune_assets.lineage.cloud.dry_run import budget_left, submissions
    from finetune_assets.lineage.comparing import open_here

    task = looked_at(open_here(find_task(name), home_folder()))
    return [], list(submissions(task)), budget_left(task)


def _print_look(look: "Look") -> None:
    expected = f"; expected {look.expected}" if look.expected and look.state in ("warning", "error") else ""
    mend = f". Mend: {look.mend}" if look.mend else ""
    text = escape(f"{look.name}: {look.found}{expected}{mend}")
    out.print(f"[{_COLOURS[look.state]}]{look.state:>11}[/]  {text}", soft_wrap=True)


def _print_submission(item: "Submission") -> None:
    name = f"variant {item.variant} by {item.backend}" if item.variant else item.backend
    colour = "red" if item.is_refused else "green"
    out.print(f"[bold]{escape(name)}[/]: [{colour}]{escape(item.state)}[/]", soft_wrap=True)
    for line in item.why:
        out.print(f"  [red]{escape(line)}[/]", soft_wrap=True)
    for label, value in (("request key", item.request_key), ("run key", item.run_key)):
        if value:
            out.print(f"  {label}: {value}", markup=False)
    for line in item.estimate["lines"] if item.estimate else ["no estimate"] if item.run_key else []:
        out.print(f"  {line}", soft_wrap=True, markup=False)
    for row in item.findings:
        if row["severity"] == "warning":
            out.print(f"  [yellow]warning[/] {escape(row['rule'])}: {escape(row['found'])}", soft_wrap=True)
    if item.request is not None:
        text = json.dumps(item.request, indent=2, ensure_ascii=False)
        out.print("  " + text.replace("\n", "\n  "), soft_wrap=True, markup=False)


def _print_budget(budget: "Budget") -> None:
    if budget.limit is None:
        told = "no limit (cloud.budget.monthly_usd)"
    else:
        told = f"${budget.left:,.2f} left of ${budget.limit:,.2f}"
    out.print(
        f"budget of {budget.month}: {told}; ${budget.reserved:,.2f} reserved, ${budget.settled:,.2f} settled",
        markup=False,
    )
