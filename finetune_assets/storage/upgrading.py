"""Changing the schema on purpose: up or down to a revision, tried first if wanted, and never at the price of a row.

`Database.open` brings a database up to date by itself; this is for people who want to see it, go back, or keep a copy.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, column, event, func, inspect, select, table
from sqlalchemy.types import String

from finetune_assets.storage import migrations
from finetune_assets.storage.clock import utc_now
from finetune_assets.storage.database import Database
from finetune_assets.storage.errors import StorageError
from finetune_assets.storage.files import explain_unwritable

NO_TABLES = "base"
_READS = ("SELECT", "PRAGMA", "SHOW")
_EMPTY_VALUES = ("", "0", "{}", "[]", "null")
_Going = dict[str, list[str]]
"""Columns that a way back removes, by table; none for a table that it removes whole."""


@dataclass(frozen=True, slots=True)
class SchemaChange:
    """What was done, or with `is_tried` what would be.

    Attributes:
        before: the revision that was there, `base` for a database without tables.
        after: the revision that is there now.
        statements: what was said to the database, in order.
        backup: the copy that was made first; None where none was.
        is_tried: whether it was rolled back.
    """

    before: str
    after: str
    statements: tuple[str, ...]
    backup: Path | None
    is_tried: bool


def change_schema(
    database: Database, to: str = "", *, is_tried: bool = False, may_go_back: bool = False
) -> SchemaChange:
    """Bring the schema to a revision in one transaction; a file of SQLite is copied beside itself first.

    Args:
        database: the database; it need not be up to date.
        to: the revision; "" for the newest.
        is_tried: do it, and roll it back.
        may_go_back: whether an earlier revision may be reached.

    Returns:
        What changed; nothing when the database is at that revision.

    Raises:
        StorageError: for an unknown revision, one that is earlier unless `may_go_back`, rows that would be lost on the
            way, or a database that is newer than this program.
    """
    known = (NO_TABLES, *migrations.revisions())
    before = database.revision() or NO_TABLES
    after = to or known[-1]
    if before not in known:
        raise StorageError(
            "the database's schema is newer than this program",
            where=database.place,
            found=f"revision {before}",
            expected=f"{known[-1]} at most",
            mend="install the version of finetune_assets that wrote it, or a newer one",
        )
    if after not in known:
        raise StorageError("there is no such revision", found=after, expected=f"one of {', '.join(known)}")
    if before == after:
        return SchemaChange(before, after, (), None, is_tried)
    going: _Going | None = None
    if known.index(after) < known.index(before):
        if not may_go_back:
            raise StorageError(
                "this would take the schema back",
                where=database.place,
                found=f"revision {before}",
                expected=f"{before} or later, not {after}",
                mend="say --downgrade if that is meant",
            )
        going = _what_goes(database, after)
        with database.reading() as session:
            _refuse_loss(session.connection(), database.place, before, after, going)
    backup = None if is_tried or not _is_file(database) else back_up(database, before)
    statements = _change(database, before, after, going, is_kept=not is_tried)
    return SchemaChange(before, after, statements, backup, is_tried)


def back_up(database: Database, label: str) -> Path:
    """Copy a file of SQLite beside itself, as it is at one moment, whoever writes meanwhile; its owner may read it.

    Args:
        database: one of SQLite.
        label: what the copy's name says.

    Raises:
        StorageError: when there is no room for it.
    """
    source = Path(database.place)
    target = source.with_name(f"{source.name}.{label}.{utc_now():%Y%m%dT%H%M%S%f}.backup")
    staged = target.with_name(f".{target.name}")
    with explain_unwritable(target):
        staged.touch(mode=0o600, exist_ok=False)
        try:
            _copy(source, staged)
            staged.rename(target)
        finally:
            staged.unlink(missing_ok=True)
    return target


def _copy(source: Path, staged: Path) -> None:
    try:
        with closing(sqlite3.connect(source)) as read, closing(sqlite3.connect(staged)) as write:
            read.backup(write)
            write.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.Error as error:
        raise StorageError("the backup could not be made", where=str(staged.parent), found=str(error)) from error
    descriptor = os.open(staged, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_file(database: Database) -> bool:
    return database.is_sqlite and Path(database.place).exists()


def _change(database: Database, before: str, after: str, going: _Going | None, *, is_kept: bool) -> tuple[str, ...]:
    """Go up, or back where `going` says what that removes."""
    with database.changing_schema() as connection:
        found = _revision(connection)
        if found != before:
            raise StorageError(
                "another process changed the schema meanwhile", where=database.place, found=found, mend="run again"
            )
        if going is not None:
            # Only from here on does nobody else write; rows may have come since the first look.
            _refuse_loss(connection, database.place, before, after, going)
        with _recorded(connection) as statements:
            (migrations.upgrade if going is None else migrations.downgrade)(connection, after)
        if not is_kept:
            _roll_back(connection)
    return tuple(statements)


def _what_goes(database: Database, after: str) -> _Going:
    """Try the way back, roll it back, and return what it removes."""
    with database.changing_schema() as connection:
        earlier = _columns(connection)
        migrations.downgrade(connection, after)
        later = _columns(connection)
        _roll_back(connection)
    going: _Going = {}
    for name, columns in earlier.items():
        narrowed = [one for one in columns if one not in later.get(name, columns)]
        if name not in later or narrowed:
            going[name] = narrowed
    return going


def _refuse_loss(connection: Connection, place: str, before: str, after: str, going: _Going) -> None:
    """Look whether what a way back removes holds anything."""
    lost: list[str] = []
    for name, columns in going.items():
        held = select(func.count()).select_from(table(name))
        if not columns:
            rows = connection.scalar(held)
            lost += [f"{rows} rows of {name}"] if rows else []
        for one in columns:
            values = connection.scalar(held.where(column(one).cast(String).not_in(_EMPTY_VALUES)))
            lost += [f"{values} values of {name}.{one}"] if values else []
    if lost:
        raise StorageError(
            f"going back from {before} to {after} would lose what is there",
            where=place,
            found=", ".join(lost),
            mend="restore a backup of that revision instead",
        )


def _columns(connection: Connection) -> dict[str, list[str]]:
    looked = inspect(connection)
    names = sorted(name for name in looked.get_table_names() if name != "alembic_version")
    return {name: [one["name"] for one in looked.get_columns(name)] for name in names}


def _revision(connection: Connection) -> str:
    if not inspect(connection).has_table("alembic_version"):
        return NO_TABLES
    found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    return str(found or NO_TABLES)


def _roll_back(connection: Connection) -> None:
    transaction = connection.get_transaction()
    if transaction is not None:
        transaction.rollback()


@contextmanager
def _recorded(connection: Connection) -> Iterator[list[str]]:
    """Collect what is said to the database, without what only looks."""
    said: list[str] = []

    def record(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        if not statement.lstrip().upper().startswith(_READS):
            said.append(statement.strip())

    event.listen(connection, "before_cursor_execute", record)
    try:
        yield said
    finally:
        event.remove(connection, "before_cursor_execute", record)
