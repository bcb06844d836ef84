"""`finetune data`: versions of a task's dataset, the way of a row, downloads; new rows and mended ones.

Each command reads or makes files and the task's head; none starts a run.
"""

import getpass
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from finetune_assets.cli.common import EXIT_GATE, AsJson, TaskName, err, find_task, home_folder, out, print_json
from finetune_assets.storage.namespaces import MAIN

if TYPE_CHECKING:
    from finetune_assets.datasets.versions.catalogue import Catalogue

data = typer.Typer(
    name="data", no_args_is_help=True, help="Versions of a task's dataset; synthetic rows; repair of its source."
)

Namespace = Annotated[
    str, typer.Option("--namespace", help="`main`, or that of an experiment (a run with --limit or --set).")
]
VersionNumber = Annotated[int, typer.Argument(min=1, help="A version, as `finetune data versions` lists it.")]


def _catalogue(task: str, namespace: str = MAIN) -> "Catalogue":
    from finetune_assets.datasets.versions.catalogue import Catalogue
    from finetune_assets.storage.artifacts import ArtifactStore
    from finetune_assets.storage.database import Database

    home = home_folder()
    return Catalogue(Database.open(home.database_url), ArtifactStore(home.artifacts), find_task(task).name, namespace)


@data.command()
def versions(task: TaskName, namespace: Namespace = MAIN, as_json: AsJson = False) -> None:
    """List the versions of a task's dataset: rows, digest, when, and what made each; and which namespaces exist."""
    from finetune_assets.cli.data_views import print_namespaces, print_versions

    catalogue = _catalogue(task, namespace)
    catalogue.require_namespace()
    rows = [version.describe() for version in catalogue.versions()]
    if as_json:
        print_json(rows)
        return
    print_versions(out, task, rows)
    print_namespaces(out, task, catalogue.namespaces(), shown=namespace)


@data.command()
def compare(
    task: TaskName,
    older: VersionNumber,
    newer: VersionNumber,
    rows: Annotated[int, typer.Option(min=0, help="How many rows of each kind are named.")] = 20,
    namespace: Namespace = MAIN,
    older_namespace: Annotated[
        str, typer.Option(help="The first version's namespace, where it is another one.", show_default=False)
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Compare two versions row by row; exit code 3 when a row moved between splits, which none may."""
    from finetune_assets.cli.data_views import print_comparison
    from finetune_assets.cli.taxonomy_commands import taxonomy_changes
    from finetune_assets.datasets.versions.compare import compare_versions

    one = _catalogue(task, older_namespace or namespace).version(older)
    other = _catalogue(task, namespace).version(newer)
    found = compare_versions(one, other, shown=rows)
    labels = taxonomy_changes(one, other)
    if as_json:
        print_json({**found.to_json(), "taxonomy": labels})
    else:
        print_comparison(out, task, found, labels)
    if found.moved:
        named = ", ".join(row["record_id"] or row["content_key"][:12] for row in found.rows["moved"]) or "see --rows"
        err.print(f"[bold red]rows moved between splits:[/] {found.moved} ({named})")
        raise typer.Exit(EXIT_GATE)


@data.command()
def restore(task: TaskName, number: VersionNumber, as_json: AsJson = False) -> None:
    """Make an older version the head again, as a new version that remembers every later assignment."""
    from finetune_assets.cli.restoring import announce
    from finetune_assets.datasets.versions.restore import restore_version

    spec = find_task(task)
    restored = restore_version(_catalogue(task), number, by=getpass.getuser())
    if restored.changed:
        announce(spec, home_folder(), restored)
    if as_json:
        print_json(
            {
                "number": restored.head.number,
                "restored_from": restored.head.restored_from,
                "digest": restored.head.digest,
                "changed": restored.changed,
            }
        )
        return
    if not restored.changed:
        out.print(f"{task}: version {restored.head.number} has the rows of version {number} already")
        return
    out.print(f"{task}: version {restored.head.number} is the head, with the rows of version {number}")
    out.print(
        "Next: materialize uploaded_dataset and what follows in `make ui`. "
        "`finetune run` reads the source again, and makes a new version where it differs.",
        style="dim",
    )


@data.command()
def show(
    task: TaskName,
    record_id: Annotated[str, typer.Argument(help="The record's id, as the source has it.", show_default=False)],
    version: Annotated[
        Optional[int],  # noqa: UP045 - typer reads the annotation
        typer.Option(min=1, help="The version to look in; without it, the head."),
    ] = None,
    text: Annotated[bool, typer.Option("--text", help="Show texts too; they may speak of people.")] = False,
    namespace: Namespace = MAIN,
    as_json: AsJson = False,
) -> None:
    """Show what became of a record, and the line of the source file that it came from."""
    from finetune_assets.cli.data_views import print_traces
    from finetune_assets.datasets.versions.row_lineage import trace_record

    catalogue = _catalogue(task, namespace)
    found = trace_record(catalogue, catalogue.version(version), record_id, with_text=text)
    if as_json:
        print_json(found)
    else:
        print_traces(out, found)


@data.command()
def download(
    task: TaskName,
    to: Annotated[Path, typer.Option("--out", help="The folder to write to.", show_default=False)],
    source: Annotated[
        str,
        typer.Option(
            "--from",
            help="Fetch from Cloud Storage: gs://bucket/prefix of the store, or the folder of one artifact there.",
            show_default=False,
        ),
    ] = "",
    adapter: Annotated[bool, typer.Option("--adapter", help="The tuned adapter instead of the dataset.")] = False,
    variant: Annotated[
        str, typer.Option(help="Whose adapter, where the task tunes several variants.", show_default=False)
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Copy the task's uploaded dataset, or its adapter, into a folder; every file is compared with its digest."""
    from finetune_assets.cli.data_views import print_download
    from finetune_assets.datasets.versions.download import STAGE, download_dataset, download_from_bucket
    from finetune_assets.lineage.runtime import adapter_stage

    catalogue = _catalogue(task)
    stage = adapter_stage(variant) if adapter or variant else STAGE
    if source:
        from finetune_assets.resources.cloud import storage_client

        client = storage_client(os.environ)
        receipt = download_from_bucket(client, catalogue.database, task, source, to, stage=stage)
    else:
        receipt = download_dataset(catalogue.database, catalogue.artifacts, task, to, stage=stage)
    if as_json:
        print_json(receipt)
    else:
        print_download(out, receipt)


@data.command()
def synthesize(
    task: TaskName,
    count: Annotated[
        int, typer.Option(min=1, max=1_000_000, help="Rows that the file shall hold.", show_default=False)
    ],
    to: Annotated[Path, typer.Option("--out", help="The JSON Lines file to write or go on with.", show_default=False)],
    template: Annotated[bool, typer.Option("--template", help="Write from a template; no network, no model.")] = False,
    endpoint: Annotated[str, typer.Option(help="Base URL of an OpenAI-compatible API.")] = "",
    model: Annotated[str, typer.Option(help="The model's name there.")] = "",
    key_variable: Annotated[
        str, typer.Option("--api-key-variable", help="Environment variable that holds the API key.")
    ] = "",
    passages: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Passages to ask about: paragraphs of a text, or JSON Lines with `text`."),
    ] = None,
    seed: Annotated[Optional[int], typer.Option(min=0, help="Seed of subjects and waits.")] = None,  # noqa: UP045
    concurrency: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=1, max=64, help="Requests under way at once."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make synthetic rows that keep the task's rules; they are marked, and never validate or test a model."""
    from finetune_assets.cli.data_views import print_synthesis
    from finetune_assets.cli.synthesis import Synthesis, SynthesisProgress

    changes = {
        "endpoint": endpoint,
        "model": model,
        "api_key_variable": key_variable,
        "seed": seed,
        "concurrency": concurrency,
    }
    work = Synthesis(find_task(task), changes, passages)
    if template:
        report = work.from_template(to, count)
    else:
        key = os.environ.get(work.config.api_key_variable, "")
        report = work.from_endpoint(to, count, key, SynthesisProgress(err, task))
    if as_json:
        print_json({**report.to_json(), "out": str(to)})
    else:
        print_synthesis(out, task, report, to)
    if report.found + report.made < report.wanted:
        raise typer.Exit(EXIT_GATE)


@data.command()
def repair(
    task: TaskName,
    ids: Annotated[
        bool, typer.Option("--ids", help="Give missing ids, and ids that two records share, new ones.")
    ] = False,
    schema: Annotated[
        bool, typer.Option("--schema", help="Mend field names, numbers as text, and the spelling of labels.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
    rows: Annotated[int, typer.Option(min=0, help="How many changes are shown.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Mend a task's source files where only one mend is possible; a backup stays beside each."""
    from finetune_assets.cli.data_views import print_repair
    from finetune_assets.cli.repairing import ChangeList, plan_repair
    from finetune_assets.cli.repairing import as_json as report_json
    from finetune_assets.datasets.repair.repair import repair_source, require_something

    require_something(ids, schema)
    plan = plan_repair(find_task(task), ids=ids, schema=schema)
    with ChangeList(home_folder(), task, shown=rows, kept=not dry_run) as changes:
        report = repair_source(plan, dry_run=dry_run, note=changes.note)
        found = report_json(report, changes, changes.keep())
    if as_json:
        print_json(found)
    else:
        print_repair(out, task, found, dry_run=dry_run)
