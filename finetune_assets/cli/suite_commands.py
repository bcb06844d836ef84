"""`finetune suites`: how the regression suites fared over the releases, and new ones mined from held-out records."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from finetune_assets.cli.common import AsJson, TaskName, err, find_task, home_folder, out, print_json

suites = typer.Typer(name="suites", no_args_is_help=True, help="Regression suites: their history, and mining new ones.")


@suites.command()
def history(task: TaskName, as_json: AsJson = False) -> None:
    """Show how every suite fared over the releases, oldest first."""
    from finetune_assets.lineage.suite_history import suite_history
    from finetune_assets.storage.artifacts import ArtifactStore
    from finetune_assets.storage.database import Database

    find_task(task)
    home = home_folder()
    found = suite_history(Database.open(home.database_url), ArtifactStore(home.artifacts), task)
    if as_json:
        print_json({"task": task, "suites": [{**trend.summary(), "history": trend.rows} for trend in found]})
        return
    if not found:
        out.print(f"no release of {task} was judged by a suite; name files under evaluation.suites in its defs.yaml")
    for trend in found:
        out.print(_table(f"{trend.suite}, by {trend.measure}", trend.rows))


@suites.command()
def mine(
    task: TaskName,
    pool: Annotated[Path, typer.Argument(help="Records that no model was trained on.", show_default=False)],
    file: Annotated[Path, typer.Argument(help="The suite's file, to be written.", show_default=False)],
    model: Annotated[
        list[str],
        typer.Option(help="Model whose weakness is sought (base, live, candidate, a version); more may be named."),
    ] = ["live", "base"],  # noqa: B006 - typer copies it
    rows: Annotated[int, typer.Option(min=1, max=10_000, help="Rows at the most.")] = 50,
    seed: Annotated[int, typer.Option(min=0, help="Decides among equally hard rows.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Mine the records that a model finds hardest; rows that are not held out are passed over and told."""
    from finetune_assets.lineage.comparing import open_here
    from finetune_assets.lineage.mining import mine_suite

    run = open_here(find_task(task), home_folder())
    found = mine_suite(
        run, pool, file, models=model, rows=rows, seed=seed, say=lambda line: err.print(line, style="dim")
    ).to_json()
    if as_json:
        print_json(found)
        return
    shown = [
        {name: row[name] for name in ("record_id", "difficulty", "wrong", "agreement", "decoy", "decoy_record")}
        for row in found["rows"]
    ]
    out.print(_table("the hardest first", shown))
    out.print(
        f"{len(shown)} of {found['pool']} rows → {file}; {len(found['leaked'])} were not held out, "
        f"{found['rejected']} could not be read"
    )
    out.print(f"  name it in defs.yaml:  evaluation: {{suites: [{{name: hard, kind: edge, path: {file}}}]}}")


def _table(title: str, rows: list[dict[str, Any]]) -> Table:
    table = Table(*rows[0], title=title, title_justify="left")
    for row in rows:
        table.add_row(*(_cell(value) for value in row.values()))
    return table


def _cell(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else "" if value is None else str(value)
