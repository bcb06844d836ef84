"""Decisions of an older database: kept, readable and still guarded, on the way up and on the way down."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from finetune_assets.storage import migrations
from finetune_assets.storage.database import Database

OLD = (
    "INSERT INTO approvals (task, candidate, report_digest, decision, approver, authenticated, policy, note, at) "
    "VALUES ('t', 'c', 'd', 'approve', 'user:ann@desk', true, 'manual', 'seen', '2026-01-01 00:00:00')",
    "INSERT INTO reports (task, namespace, report_key, digest, candidate, baseline, verdict, run_id, created_at) "
    "VALUES ('t', 'main', 'k', 'd', 'c', '', 'PASS', 'r', '2026-01-01 00:00:00')",
)


def go(db: Database, *steps: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    with db.engine.connect() as connection, connection.begin():
        config.attributes["connection"] = connection
        for step in steps:
            if step.startswith("INSERT"):
                connection.execute(text(step))
            else:
                (command.downgrade if step < "0006" else command.upgrade)(config, step)


def guarded(db: Database, table: str) -> bool:
    try:
        with db.session() as session:
            session.execute(text(f"DELETE FROM {table}"))
    except DBAPIError as error:
        return "append-only" in str(error)
    return False


@pytest.mark.parametrize("way", [("0005", *OLD, "head"), (*OLD, "0005", "head")], ids=["up", "down and up"])
def test_older_decisions_are_kept_and_guarded(db: Database, way: tuple[str, ...]) -> None:
    go(db, *way)
    with db.reading() as session:
        (said,) = session.execute(text("SELECT id, approver, note, channel, pointer_seq FROM approvals")).all()
        (report,) = session.execute(text("SELECT id, digest, policy FROM reports")).all()
    assert tuple(said) == (1, "user:ann@desk", "seen", None, None)
    assert tuple(report) == (1, "d", None)
    assert guarded(db, "approvals")
    assert guarded(db, "reports")


def test_what_was_guarded_before_stays_guarded_after_a_downgrade(db: Database) -> None:
    go(db, *OLD, "0005")
    assert guarded(db, "approvals")
    assert not guarded(db, "reports")
