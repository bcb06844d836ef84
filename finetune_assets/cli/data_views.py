"""What `finetune data` and `finetune taxonomy` print. Texts of people are printed only where they were asked for."""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from finetune_assets.datasets.generation.generate import GenerationReport
from finetune_assets.datasets.taxonomies.migration import Migration, MigrationReport
from finetune_assets.datasets.versions.compare import MEANINGS, Comparison
from finetune_assets.records.digests import short
from finetune_assets.records.example import SPLITS
from finetune_assets.storage.namespaces import MAIN


def print_versions(console: Console, task: str, rows: list[dict[str, Any]]) -> None:
    """Print the versions of a task, newest last."""
    if not rows:
        console.print(f"{task} has no dataset version yet; `finetune run {task} --until validated_splits` makes one")
        return
    table = Table()
    for name, justify in (("version", "right"), (" / ".join(SPLITS), "right")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for name in ("digest", "made", "from"):
        table.add_column(name)
    for row in rows:
        splits = row["splits"]
        table.add_row(
            str(row["number"]) + (" [bold green]head[/]" if row is rows[-1] else ""),
            " / ".join(f"{splits[name]:,}" for name in SPLITS) if splits else "[red]files are gone[/]",
            short(row["digest"]),
            row["created_at"][:19].replace("T", " "),
            _origin(row),
        )
    console.print(table)


def print_namespaces(console: Console, task: str, known: dict[str, int], *, shown: str) -> None:
    """Print which other namespaces have versions, and how to see them."""
    others = {name: count for name, count in known.items() if name != shown}
    for name, count in others.items():
        versions = "1 version" if count == 1 else f"{count:,} versions"
        console.print(
            f"[dim]{escape(name)}: {versions}; `finetune data versions {escape(task)} --namespace {escape(name)}`[/]",
            soft_wrap=True,
        )


def _origin(row: dict[str, Any]) -> str:
    files = ", ".join(f"{escape(str(item['name']))} [dim]{short(item.get('sha256', ''))}[/]" for item in row["files"])
    if row["restored_from"]:
        return f"version {row['restored_from']}" + (f" ({files})" if files else "")
    return files or "–"


def print_comparison(console: Console, task: str, found: Comparison, labels: dict[str, Any] | None) -> None:
    """Print what differs between two versions."""
    one, other = found.namespaces
    if one == other == MAIN:
        console.rule(f"{task}: version {found.older} → {found.newer}")
    else:
        console.rule(f"{task}: {escape(one)} version {found.older} → {escape(other)} version {found.newer}")
    if found.same_digest:
        console.print("Both versions have the same content digest.")
    table = Table(title="Rows", title_justify="left")
    for name in ("", "rows", "meaning", "records"):
        table.add_column(name, justify="right" if name == "rows" else "left", overflow="fold")
    for name, meaning in MEANINGS.items():
        count = found.counts[name]
        style = "bold red" if name == "moved" and count else ("" if count else "dim")
        named = ", ".join(str(row["record_id"]) for row in found.rows[name])
        more = " …" if count > len(found.rows[name]) and named else ""
        table.add_row(name, f"{count:,}", meaning, escape(named + more), style=style)
    table.add_row("unchanged", f"{found.counts['unchanged']:,}", "the same in every respect", "", style="dim")
    console.print(table)
    sizes = Table(title="Splits", title_justify="left")
    for name in ("split", f"version {found.older}", f"version {found.newer}"):
        sizes.add_column(name, justify="left" if name == "split" else "right")
    for split, (older, newer) in found.splits.items():
        sizes.add_row(split, f"{older:,}", f"{newer:,}")
    console.print(sizes)
    _print_pairs(console, "Quarantined by reason", found.reasons)
    _print_pairs(console, "Made from", found.made_from)
    if labels:
        print_taxonomy_diff(console, labels)


def _print_pairs(console: Console, title: str, pairs: dict[str, tuple[Any, Any]]) -> None:
    if not pairs:
        return
    table = Table(title=title, title_justify="left")
    for name in ("", "older", "newer"):
        table.add_column(name, overflow="fold")
    for name, (older, newer) in pairs.items():
        table.add_row(escape(name), escape(str(older)), escape(str(newer)))
    console.print(table)


def print_traces(console: Console, items: list[dict[str, Any]]) -> None:
    """Print what became of a record."""
    for item in items:
        table = Table(title=f"{escape(item['record_id'])}: {item['fate']}", title_justify="left", show_header=False)
        table.add_column("what", style="dim")
        table.add_column("value", overflow="fold")
        for name, value in item.items():
            if name not in ("fate", "record_id"):
                table.add_row(name, escape(_readable(name, value)))
        console.print(table)


def _readable(name: str, value: Any) -> str:
    if name.endswith("source") and isinstance(value, dict):
        place = str(value["file"]) + (f":{value['line']}" if value.get("line") else "")
        place += f" row {value['row']}" if value.get("row") else ""
        place += f", byte {value['offset']:,}" if value.get("offset") is not None else ""
        return place + (f", file sha256 {short(value['sha256'])}" if value.get("sha256") else "")
    if name == "leak_group":
        others = ", ".join(value["others"])
        if value["rows"] == 1:
            return "this row alone"
        keys = ", ".join(["likeness", *value["declared_keys"]])
        return f"{value['rows']} rows tied by {keys}" + (f": {others}" if others else "")
    if name == "duplicates":
        return ", ".join(f"{copy['record_id']} ({_readable('source', copy['source'])})" for copy in value) or "none"
    if isinstance(value, list):
        return (
            "\n".join(f"{turn['role']}: {turn['content']}" for turn in value)
            if name == "messages"
            else (", ".join(map(str, value)) or "none")
        )
    return str(value)


def print_download(console: Console, receipt: dict[str, Any]) -> None:
    """Print what was copied."""
    table = Table(title=f"{short(receipt['digest'])} in {escape(receipt['out'])}", title_justify="left")
    for name in ("file", "bytes", "sha256"):
        table.add_column(name, justify="right" if name == "bytes" else "left")
    for item in receipt["files"]:
        table.add_row(escape(item["name"]), f"{item['bytes']:,}", short(item["sha256"]))
    console.print(table)


def print_taxonomy_diff(console: Console, found: dict[str, Any]) -> None:
    """Print the changes between two taxonomies with their evidence, then the open questions."""
    if not found["changes"] and not found["questions"]:
        console.print("The taxonomies name the same labels.")
        return
    table = Table(title="Taxonomy", title_justify="left")
    for name in ("change", "level", "old", "new", "evidence"):
        table.add_column(name, overflow="fold")
    for change in found["changes"]:
        sides = ("\n".join(" / ".join(path) for path in change[side]) or "–" for side in ("old", "new"))
        table.add_row(change["kind"], change["level"], *map(escape, sides), escape(change["evidence"]))
    console.print(table)
    for question in found["questions"]:
        old = " / ".join(question["old"])
        console.print(f"[bold yellow]question:[/] {escape(old)}: {escape(question['ask'])}")
        for candidate in question["candidates"]:
            console.print(f"  {escape(' / '.join(candidate['path']))}  [dim]{escape(candidate['evidence'])}[/]")


def print_migration(
    console: Console,
    task: str,
    report: MigrationReport,
    migration: Migration,
    to: Path,
    target: Path,
    renamed: dict[str, str],
) -> None:
    """Print what a migration did, and what to change in defs.yaml."""
    table = Table(title=f"{task}: labels migrated", title_justify="left")
    for name in ("read", "unchanged", "migrated", "review", "left_out", "unreadable"):
        table.add_column(name.replace("_", " "), justify="right")
    counts = report.to_json()
    table.add_row(
        *(f"{counts[name]:,}" for name in ("read", "unchanged", "migrated", "review", "left_out", "unreadable"))
    )
    console.print(table)
    if report.rules:
        rules = Table("rule", "rows")
        for rule, count in report.rules.items():
            rules.add_row(escape(rule), f"{count:,}")
        console.print(rules)
    if report.waiting:
        waiting = Table("waits for a decision", "rows")
        for label, count in report.waiting.items():
            waiting.add_row(escape(label), f"{count:,}")
        console.print(waiting)
        console.print(f"Fill in the column `decision` of {target / 'review.csv'}, then run the same command with")
        console.print(f"  --review {target / 'review.csv'}", soft_wrap=True)
    console.print("In defs.yaml:")
    rows, labels = _from_folder(target / "rows.jsonl", migration.folder), _from_folder(to, migration.folder)
    console.print(f"  dataset.source.path: {migration.source.path}  →  {rows}", soft_wrap=True)
    if migration.source.format != "auto":
        console.print(f"  dataset.source.format: {migration.source.format}  →  jsonl")
    console.print(f"  classification.taxonomy  →  {labels}", soft_wrap=True)
    for old, new in sorted(renamed.items()):
        console.print(f"  classification.labels and label_map: {escape(old)}  →  {escape(new)}", soft_wrap=True)


def _from_folder(path: Path, folder: Path) -> str:
    resolved = path.resolve()
    return str(resolved.relative_to(folder) if resolved.is_relative_to(folder) else resolved)


def print_synthesis(console: Console, task: str, report: GenerationReport, path: Path) -> None:
    """Print how many rows were made, and why answers were refused."""
    held = report.found + report.made
    console.print(f"{task}: {path} holds {held:,} of {report.wanted:,} synthetic rows ({report.made:,} new)")
    if report.given_up:
        console.print(f"[bold yellow]{len(report.given_up):,} rows broke a rule in every attempt[/] and were given up")
    if report.reasons:
        table = Table("refused for", "answers")
        for reason, count in sorted(report.reasons.items(), key=lambda item: (-item[1], item[0])):
            table.add_row(escape(reason), f"{count:,}")
        console.print(table)
    console.print(
        "[dim]Put the file beside the task's other source files (dataset.source.path may name a folder). "
        "The rows are marked, and never stand in validation or test.[/]"
    )


def print_repair(console: Console, task: str, found: dict[str, Any], *, dry_run: bool) -> None:
    """Print what a repair changed, or would change."""
    verb = "would change" if dry_run else "changed"
    console.print(f"{task}: {found['changed']:,} of {found['read']:,} records {verb}")
    if found["mends"]:
        counts = Table("mend", "changes")
        for mend, count in found["mends"].items():
            counts.add_row(mend, f"{count:,}")
        console.print(counts)
        table = Table("place", "record", "mend", "field", "before", "after")
        for change in found["changes"]:
            place = f"{change['file']}:{change['line']}" if change["line"] else f"{change['file']} row {change['row']}"
            cells = (place, change["record_id"], change["mend"], change["field"])
            table.add_row(*map(escape, cells), escape(str(change["before"])), escape(str(change["after"])))
        console.print(table)
    if found["untouched"]:
        console.print(f"{found['untouched']:,} records were left alone: their numbers cannot be written back as spelt")
    for name, backup in found["files"].items():
        if backup:
            console.print(f"{escape(name)}: backup {escape(backup)}", soft_wrap=True)
    if found["list"]:
        console.print(f"All changes: {escape(found['list'])}", soft_wrap=True)
