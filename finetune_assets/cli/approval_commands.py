"""`finetune approvals`: who decided what about a task's candidates, and what waits for a decision."""

from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from finetune_assets.cli.common import AsJson, TaskName, find_task, home_folder, out, print_json
from finetune_assets.records.digests import short

if TYPE_CHECKING:
    from finetune_assets.releases.review import Review
    from finetune_assets.releases.tally import Approval
    from finetune_assets.storage.database import Database


def approvals(task: TaskName, as_json: AsJson = False) -> None:
    """Show every decision about a task's candidates, and which candidate waits for one."""
    from finetune_assets.releases.approvals import history
    from finetune_assets.storage.database import Database

    find_task(task)
    database = Database.open(home_folder().database_url)
    facts = {
        "task": task,
        "waits": _waiting(database, task),
        "decisions": [_row(said) for said in history(database, task)],
    }
    if as_json:
        print_json(facts)
    else:
        _print(facts)


def _waiting(database: "Database", task: str) -> dict[str, Any] | None:
    """Return the candidate that waits for people, None where none does."""
    from finetune_assets.releases.deciding import waiting

    review = _review(database, task)
    found = None if review is None else waiting(database, review)
    if review is None or found is None:
        return None
    release, standing = found
    return {
        "candidate": release.candidate,
        "version": release.version,
        "report": review.report_digest,
        "verdict": review.verdict,
        "state": release.state,
        "approvals": len(standing.approvals),
        "needed": standing.needed,
        "standing": standing.sentence,
    }


def _review(database: "Database", task: str) -> "Review | None":
    """Return the newest report as it may be decided on by the policy that holds now."""
    import os
    from dataclasses import replace

    from finetune_assets.lineage.settings import resolve
    from finetune_assets.releases.review import newest_review

    review = newest_review(database, task)
    policy = resolve(find_task(task), {}, os.environ).config.release
    return None if review is None else replace(review, policy=policy)


def _row(said: "Approval") -> dict[str, Any]:
    return {
        "at": said.at.isoformat(),
        "decision": said.decision,
        "approver": said.approver,
        "authenticated": said.authenticated,
        "channel": said.channel,
        "candidate": said.candidate,
        "report": said.report_digest,
        "note": said.note,
    }


def _print(facts: dict[str, Any]) -> None:
    table = Table("at (UTC)", "decision", "by", "channel", "candidate", "report", "note")
    for row in facts["decisions"]:
        table.add_row(
            row["at"][:19].replace("T", " "),
            row["decision"],
            escape(row["approver"]) if row["authenticated"] else f"[dim]{escape(row['approver'])}[/]",
            row["channel"] or "–",
            short(row["candidate"]),
            short(row["report"]),
            escape(_printable(row["note"])),
        )
    out.print(table if facts["decisions"] else "no decision yet")
    if waits := facts["waits"]:
        out.print(
            f"waits: version {waits['version']}, candidate {short(waits['candidate'])}, {waits['verdict']} on report "
            f"{short(waits['report'])}; {waits['standing']}",
            markup=False,
            soft_wrap=True,
        )


def _printable(note: str) -> str:
    """Return a note without what would move a terminal's cursor or change its colours."""
    return "".join(character if character.isprintable() else " " for character in note)
