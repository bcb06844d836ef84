"""`finetune budget`: what a month's budget has reserved, spent and left, and what a person has seen on a bill."""

import re
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer
from rich.table import Table
from typer.core import TyperGroup

from finetune_assets.cli.common import AsJson, home_folder, out, print_json
from finetune_assets.records.errors import FinetuneError
from finetune_assets.storage.database import Database

if TYPE_CHECKING:
    from finetune_assets.lineage.budgets import MonthBudget

_SHOW = "show"


class _ShowsByDefault(TyperGroup):
    """`finetune budget [TASK]` means `finetune budget show [TASK]`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] not in ("--help", "-h")):
            args = [_SHOW, *args]
        return super().parse_args(ctx, args)


budget = typer.Typer(name="budget", cls=_ShowsByDefault, help="A month's budget: what is reserved, spent and left.")


@budget.command(_SHOW)
def show(
    task: Annotated[Optional[str], typer.Argument(help="One task; without it, all that spent something.")] = None,  # noqa: UP045
    month: Annotated[str, typer.Option(help="The month as YYYY-MM (UTC); the default is this one.")] = "",
    as_json: AsJson = False,
) -> None:
    """Show limit, reserved, settled and left, and every job's estimate beside what it was billed."""
    from finetune_assets.lineage.budgets import month_budget, tasks_with_entries

    wanted = _month(month)
    database = Database.open(home_folder().database_url)
    limits = _limits(task)
    names = [task] if task else sorted(set(limits) | set(tasks_with_entries(database, wanted)))
    months = [month_budget(database, name, wanted, limits.get(name)) for name in names]
    if as_json:
        print_json([item.to_json() for item in months])
        return
    for item in months:
        _print(item)
    if not months:
        out.print(f"nothing was reserved in {wanted}, and no task has a monthly budget")


@budget.command()
def settle(
    key: Annotated[
        str,
        typer.Argument(help="The job's request key, or an attempt's run key (`--json` shows it).", show_default=False),
    ],
    usd: Annotated[str, typer.Argument(help="US dollars on the bill, 0 for nothing.", show_default=False)],
    note: Annotated[str, typer.Option(help="Where the bill was seen; kept with the entry.", show_default=False)],
) -> None:
    """Write down what a job was billed, once somebody has seen the bill; it takes the reservation's place."""
    from finetune_assets.cli.chain import current_user
    from finetune_assets.storage.ledger import to_micros
    from finetune_assets.storage.settlement import settle_by_hand

    amount = _dollars(usd)
    run_key = settle_by_hand(
        Database.open(home_folder().database_url), key, to_micros(amount), by=current_user(), note=note
    )
    out.print(f"{key}: settled at ${amount:,.2f} (run key {run_key})", markup=False)


def _dollars(text: str) -> Decimal:
    try:
        amount = Decimal(text.removeprefix("$"))
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount < 0:
        raise FinetuneError("not an amount", found=text, expected="US dollars, at least 0, such as 1.25")
    return amount


def _month(text: str) -> str:
    from finetune_assets.storage.clock import utc_now
    from finetune_assets.storage.ledger import month_of

    if not text:
        return month_of(utc_now())
    if not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", text):
        raise FinetuneError("not a month", where="--month", found=text, expected="YYYY-MM")
    return text


def _limits(task: str | None) -> dict[str, float]:
    """Return the monthly limits that YAML and the environment set, by task."""
    import os

    from finetune_assets.cli.common import find_task
    from finetune_assets.component import known_tasks
    from finetune_assets.lineage.settings import resolve

    specs = [find_task(task)] if task else known_tasks(os.environ).values()
    limits = {spec.name: resolve(spec, {}, os.environ).config.cloud.budget.monthly_usd for spec in specs}
    return {name: limit for name, limit in limits.items() if limit is not None}


def _print(item: "MonthBudget") -> None:
    limit = "no limit" if item.limit is None else f"${item.left:,.2f} left of ${item.limit:,.2f}"
    out.print(
        f"{item.task}, {item.month}: {limit}; ${item.reserved:,.2f} reserved, ${item.settled:,.2f} settled",
        markup=False,
    )
    if not item.jobs:
        return
    table = Table("key", "variant", "backend", "attempt", "state", "reserved", "estimate", "billed", "ledger", "note")
    for job in item.jobs:
        cells: list[Any] = [
            job.key or job.run_key, job.variant, job.backend, str(job.attempt), job.state,
            _usd(job.reserved), _usd(job.estimated), _usd(job.billed), job.status, job.note,
        ]  # fmt: skip
        table.add_row(*cells)
    out.print(table)
    if any(job.status == "reserved" and job.state not in ("INTENDED", "SUBMITTED", "RUNNING") for job in item.jobs):
        out.print(
            "A job that ended badly keeps its reservation until somebody has seen the bill: "
            "finetune budget settle KEY USD --note WHERE",
            soft_wrap=True,
        )


def _usd(value: float | None) -> str:
    return "" if value is None else f"${value:,.2f}"
