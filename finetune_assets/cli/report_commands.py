"""`finetune report` and `finetune compare`: what was found, and any two models side by side."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from finetune_assets.cli.common import AsJson, TaskName, err, find_task, home_folder, out, print_json
from finetune_assets.records.errors import FinetuneError
from finetune_assets.storage.artifacts import Artifact, ArtifactStore
from finetune_assets.storage.database import Database
from finetune_assets.storage.files import read_json
from finetune_assets.storage.home import Home

ModelName = Annotated[
    str,
    typer.Argument(
        help="base, live, candidate, a version's number, or a name under evaluation.contenders.", show_default=False
    ),
]


class Form(StrEnum):
    """The forms of a report."""

    page = "report.html"
    markdown = "report.md"
    json = "report.json"


def report(
    task: TaskName,
    as_json: AsJson = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
    as_page: Annotated[bool, typer.Option("--page", help="Print the path of the page for the browser.")] = False,
    open_it: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
) -> None:
    """Show the newest report of a task; without an option, print the path of its page."""
    if as_json + as_markdown + as_page > 1:
        raise typer.BadParameter("take one of --json, --markdown and --page")
    find_task(task)
    artifact = _newest(task, home_folder())
    if as_json:
        print_json(read_json(artifact.file(Form.json)))
    elif as_markdown:
        sys.stdout.write(artifact.file(Form.markdown).read_text(encoding="utf-8"))
    else:
        sys.stdout.write(f"{_page(artifact)}\n")
    if open_it:
        import webbrowser

        page = _page(artifact)
        if not webbrowser.open(page.as_uri()):
            err.print(f"no browser is to be had here; the page is {page}")


def _newest(task: str, home: Home) -> Artifact:
    from finetune_assets.storage.namespaces import MAIN
    from finetune_assets.storage.stages import find_stage

    found = find_stage(Database.open(home.database_url), task, MAIN, "validation_report", "")
    artifact = ArtifactStore(home.artifacts).find(found.kind, found.key) if found else None
    if artifact is None:
        raise FinetuneError("there is no report yet", where=task, mend=f"run `finetune run {task}` first")
    return artifact


def _page(artifact: Artifact) -> Path:
    page = artifact.path / Form.page
    if not page.is_file():
        raise FinetuneError(
            "the report's page is not there",
            where=str(artifact.path),
            found="a report without its texts: its page was deleted, or it is of an earlier version",
            mend="read it with --markdown or --json",
        )
    return page


def compare(
    task: TaskName,
    first: ModelName,
    second: ModelName,
    limit: Annotated[int, typer.Option(min=0, help="Ask about N test rows only; 0 asks all.")] = 0,
    rows: Annotated[bool, typer.Option("--rows", help="Show the rows whose answers differ.")] = False,
    as_json: AsJson = False,
) -> None:
    """Compare any two models on the test rows; nothing is released by it."""
    from finetune_assets.cli.report_view import print_comparison
    from finetune_assets.lineage.comparing import compare_models, open_here

    run = open_here(find_task(task), home_folder())
    found = compare_models(run, first, second, limit=limit, say=lambda line: err.print(line, style="dim"))
    if not rows:
        del found["differing"]
    if as_json:
        print_json(found)
    else:
        print_comparison(out, found)
