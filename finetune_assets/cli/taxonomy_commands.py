"""`finetune taxonomy`: what changed between two taxonomies, and the labels of a task's rows brought along."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from finetune_assets.cli.common import AsJson, TaskName, find_task, out, print_json
from finetune_assets.records.errors import FinetuneError

if TYPE_CHECKING:
    from finetune_assets.datasets.taxonomies.migration import Migration
    from finetune_assets.datasets.versions.catalogue import Version

taxonomy = typer.Typer(name="taxonomy", no_args_is_help=True, help="Compare two taxonomies; migrate a task's labels.")

_TASK_TYPE = "classification"
# Written beside every dataset version; see lineage/dataset_manifest.py.
_TASK_TYPE_FILE = "task_type.json"


@taxonomy.command()
def diff(
    old: Annotated[Path, typer.Argument(help="The taxonomy file as it was.", show_default=False)],
    new: Annotated[Path, typer.Argument(help="The taxonomy file as it shall be.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Show what changed: renames, splits, merges, moves, deletions, additions, and what is ambiguous."""
    from finetune_assets.cli.data_views import print_taxonomy_diff
    from finetune_assets.datasets.taxonomies.diff import diff_taxonomies
    from finetune_assets.datasets.taxonomies.taxonomy import Taxonomy

    found = diff_taxonomies(Taxonomy.load(old), Taxonomy.load(new)).to_json()
    if as_json:
        print_json(found)
    else:
        print_taxonomy_diff(out, found)


@taxonomy.command()
def migrate(
    task: TaskName,
    to: Annotated[Path, typer.Option("--to", help="The new taxonomy file.", show_default=False)],
    rules: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads the annotation
        typer.Option("--map", help="YAML with rules for splits and whatever the comparison cannot know."),
    ] = None,
    folder: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--out", help="Folder of the new source; without it, `migration-…` in the task's folder."),
    ] = None,
    review: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--review", help="The review.csv of an earlier call, with decisions filled in."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Bring the labels of a task's rows to a new taxonomy; the old source stays as it is."""
    from finetune_assets.cli.data_views import print_migration
    from finetune_assets.datasets.taxonomies.migration import migrate as migrate_rows
    from finetune_assets.datasets.taxonomies.review import REVIEW_CSV, Decisions, has_decisions
    from finetune_assets.records.digests import short

    migration, mapped_names = _migration(task, to, rules)
    target = folder or migration.folder / f"migration-{short(migration.new.digest)}"
    known = target / REVIEW_CSV
    if review is None and has_decisions(known):
        raise FinetuneError(
            "an earlier review holds decisions",
            where=str(known),
            mend=f"give it back with --review {known}, or name another folder with --out",
        )
    decisions = Decisions.read(review) if review else None
    report = migrate_rows(migration, target, decisions)
    if as_json:
        print_json({**report.to_json(), "out": str(target), "names_to_change": mapped_names})
    else:
        print_migration(out, task, report, migration, to, target, mapped_names)


def _migration(task: str, to: Path, rules: Path | None) -> "tuple[Migration, dict[str, str]]":
    """Return the migration, and the names in defs.yaml that the new taxonomy spells otherwise."""
    from finetune_assets.datasets.taxonomies.diff import diff_taxonomies
    from finetune_assets.datasets.taxonomies.migration import Migration
    from finetune_assets.datasets.taxonomies.relabel import LabelFields
    from finetune_assets.datasets.taxonomies.rules import MigrationMap, read_map
    from finetune_assets.datasets.taxonomies.taxonomy import Taxonomy
    from finetune_assets.lineage.settings import resolve
    from finetune_assets.task_types.classification import ClassificationConfig, ClassificationTask

    spec = find_task(task)
    config = resolve(spec, {}, os.environ).config
    section = config.type_section()
    if not isinstance(section, ClassificationConfig):
        raise FinetuneError(
            "the task has no taxonomy", where=task, found=f"task_type {config.task_type}", expected=_TASK_TYPE
        )
    kind = ClassificationTask.from_config(section, Path(spec.folder))
    new = Taxonomy.load(to, include_hidden=section.include_hidden)
    shape = kind.shape
    migration = Migration(
        source=config.dataset.source,
        folder=Path(spec.folder),
        aliases=kind.aliases,
        names=LabelFields(shape.level_fields, shape.stated_fields, shape.description_field),
        text_field=shape.text_field,
        id_field=shape.id_field,
        keeps_places=not section.require_record_id,
        old=kind.taxonomy,
        new=new,
        rules=read_map(rules) if rules else MigrationMap(),
    )
    return migration, _renamed(section, diff_taxonomies(kind.taxonomy, new).successors)


def _renamed(section: Any, successors: Any) -> dict[str, str]:
    """Return the names under `labels` and `label_map` that the new taxonomy does not know → what they became."""
    used = {*section.labels.include, *section.labels.exclude}
    used |= {value for replacement in section.label_map.values() for value in replacement.values()}
    became: dict[str, str] = {}
    for path, (_, news, _) in successors.items():
        if path and path[-1] in used and not any(new[-1] == path[-1] for new in news):
            became[path[-1]] = " or ".join(sorted({new[-1] for new in news})) or "nothing: it is gone"
    return became


def taxonomy_changes(older: "Version", newer: "Version") -> dict[str, Any] | None:
    """Return what changed between the taxonomies of two dataset versions; None when they have equal ones, or none."""
    from finetune_assets.datasets.taxonomies.diff import diff_taxonomies
    from finetune_assets.datasets.taxonomies.taxonomy import Taxonomy
    from finetune_assets.storage.files import read_json

    if older.made_from.get("taxonomy", "") == newer.made_from.get("taxonomy", ""):
        return None
    found = []
    for version in (older, newer):
        files = version.files()
        manifest = read_json(files.file(_TASK_TYPE_FILE)) if _TASK_TYPE_FILE in files.manifest["files"] else {}
        if not isinstance(manifest.get("taxonomy"), dict):
            return None
        found.append(Taxonomy.from_json(manifest["taxonomy"]))
    if found[0].levels != found[1].levels:
        return None
    return diff_taxonomies(*found).to_json()
