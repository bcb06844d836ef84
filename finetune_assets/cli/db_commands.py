"""`finetune db`: look at the database, and change its schema on purpose."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from finetune_assets.cli.common import EXIT_ERROR, AsJson, home_folder, out, print_json
from finetune_assets.storage.database import Database

if TYPE_CHECKING:
    from finetune_assets.storage.checking import Finding
    from finetune_assets.storage.upgrading import SchemaChange

db = typer.Typer(name="db", no_args_is_help=True, help="The database: check it, change its schema.")

_COLORS = {"ok": "green", "warning": "yellow", "error": "red"}


@db.command()
def check(as_json: AsJson = False) -> None:
    """Look whether the database can be reached, is whole and adds up. Nothing is changed; exit code 1 for an error."""
    from finetune_assets.storage.checking import check_database

    database = Database(home_folder().database_url)
    try:
        findings = check_database(database)
    finally:
        database.close()
    if as_json:
        print_json([_facts(item) for item in findings])
    else:
        _print(findings)
    if any(item.state == "error" for item in findings):
        raise typer.Exit(EXIT_ERROR)


@db.command()
def upgrade(
    to: Annotated[str, typer.Option(help="The revision to reach; the default is this program's.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Do it, see that it works, and roll it back.")] = False,
    sql: Annotated[bool, typer.Option("--sql", help="As --dry-run, and print the statements.")] = False,
    downgrade: Annotated[
        bool, typer.Option("--downgrade", help="Allow an earlier revision, as long as no row would be lost.")
    ] = False,
) -> None:
    """Bring the database's schema to a revision in one transaction; a file of SQLite is copied first.

    Every other command brings it up to date by itself, without a copy. After a downgrade, start no newer program.
    """
    from finetune_assets.storage.upgrading import change_schema

    database = Database(home_folder().database_url)
    try:
        done = change_schema(database, to, is_tried=dry_run or sql, may_go_back=downgrade)
        place, is_file = database.place, database.is_sqlite
    finally:
        database.close()
    if sql:
        for statement in done.statements:
            out.print(f"{statement};", markup=False, soft_wrap=True)
        return
    _tell(done, place, is_file=is_file)


def _tell(done: "SchemaChange", place: str, *, is_file: bool) -> None:
    if done.before == done.after:
        out.print(f"{place}: at revision {done.after} already", markup=False, soft_wrap=True)
        return
    if done.backup is not None:
        out.print(f"backup: {done.backup}", markup=False, soft_wrap=True)
    verb = "would go" if done.is_tried else "went"
    out.print(
        f"{place}: {verb} from revision {done.before} to {done.after} in {len(done.statements)} statements",
        markup=False,
        soft_wrap=True,
    )
    if done.is_tried and not is_file:
        out.print("no backup is made of a PostgreSQL database: run pg_dump before")


def _print(findings: "list[Finding]") -> None:
    table = Table("what", "state", "found")
    for item in findings:
        table.add_row(item.subject, f"[{_COLORS[item.state]}]{item.state}[/]", escape(item.found))
    out.print(table)
    for item in findings:
        if item.mend:
            out.print(f"{item.subject}: {item.mend}", markup=False, soft_wrap=True)


def _facts(item: "Finding") -> dict[str, str]:
    return {"subject": item.subject, "state": item.state, "found": item.found, "mend": item.mend}
