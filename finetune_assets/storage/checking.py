"""Checks a database: can it be reached, is its schema whole, does the engine find it sound, do its rows add up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sqlalchemy import Connection, inspect, text

from finetune_assets.storage.database import Database
from finetune_assets.storage.laws import LAWS
from finetune_assets.storage.models import APPEND_ONLY, SCHEMA_REVISION, Base

FindingState = Literal["ok", "warning", "error"]
_SHOWN = 3
_SETTINGS = ("fsync", "full_page_writes", "synchronous_commit")
_RESTORE = "restore a backup in which `finetune db check` finds nothing, and report this with what was done before"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one look found.

    Attributes:
        subject: what was looked at.
        state: `ok`, `warning` or `error`.
        found: what was found.
        mend: what to do, "" when all is well.
    """

    subject: str
    state: FindingState
    found: str
    mend: str = ""


def check_database(database: Database) -> list[Finding]:
    """Look at a database and change nothing; it need not be up to date.

    Rows are looked at only where the schema is this program's and whole, for else the questions do not fit it.

    Args:
        database: the database.

    Returns:
        One finding for each look, in order.

    Raises:
        StorageError: when it cannot be reached or read.
    """
    revision = database.revision()
    reached = Finding("reachable", "ok", database.place)
    if revision is None:
        return [reached, Finding("schema", "warning", "no tables yet", "the next command makes them")]
    schema = _schema(revision)
    findings = [reached, schema]
    with database.reading() as session:
        connection = session.connection()
        findings.append(_engine(connection))
        if not database.is_sqlite:
            findings.append(_settings(connection))
        if schema.state == "ok":
            shape = _shape(connection)
            findings.append(shape)
            if shape.state == "ok":
                findings += _rows(connection)
    if database.is_sqlite:
        findings.insert(2, _mode(database))
    return findings


def _schema(revision: str) -> Finding:
    if revision == SCHEMA_REVISION:
        return Finding("schema", "ok", f"revision {revision}")
    if revision < SCHEMA_REVISION:
        told = f"revision {revision}, this program's is {SCHEMA_REVISION}"
        return Finding("schema", "error", told, "run `finetune db upgrade`; it makes a backup of an SQLite file first")
    told = f"revision {revision} is newer than this program's {SCHEMA_REVISION}"
    return Finding("schema", "error", told, "install the newer version of finetune_assets again")


def _mode(database: Database) -> Finding:
    """The file holds what people wrote: others must not read it."""
    mode = Path(database.place).stat().st_mode & 0o077
    folder = Path(database.place).parent.stat().st_mode & 0o077
    if mode and folder:
        told = f"others may read {database.place}"
        return Finding("permissions", "warning", told, f"chmod 700 {Path(database.place).parent}")
    return Finding("permissions", "ok", "its owner's only")


def _engine(connection: Connection) -> Finding:
    if connection.dialect.name == "sqlite":
        said = [str(row[0]) for row in connection.exec_driver_sql("PRAGMA integrity_check(10)")]
        orphans = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchmany(_SHOWN)
        broken = [line for line in said if line != "ok"] + [
            f"row {row[1]} of {row[0]} has no {row[2]}" for row in orphans
        ]
        return _sound("SQLite's own checks", broken)
    unsure = connection.exec_driver_sql(
        "SELECT conrelid::regclass || ' ' || conname FROM pg_constraint WHERE NOT convalidated "
        "UNION ALL SELECT indexrelid::regclass || ' is not valid' FROM pg_index WHERE NOT indisvalid "
        "UNION ALL SELECT tgrelid::regclass || ' ' || tgname || ' is off' FROM pg_trigger WHERE tgenabled = 'D'"
    )
    return _sound("PostgreSQL's constraints", [str(row[0]) for row in unsure])


def _sound(subject: str, broken: list[str]) -> Finding:
    if broken:
        return Finding(subject, "error", "; ".join(broken[:_SHOWN]), _RESTORE)
    return Finding(subject, "ok", "nothing found")


def _settings(connection: Connection) -> Finding:
    """What is acknowledged must outlive a crash; an administrator may have chosen otherwise."""
    found = {name: str(connection.exec_driver_sql(f"SHOW {name}").scalar()) for name in _SETTINGS}
    loose = [f"{name} is {value}" for name, value in found.items() if value in ("off", "local")]
    if loose:
        mend = "turn it on: what was acknowledged may be lost when the server crashes"
        return Finding("durability", "warning", ", ".join(loose), mend)
    return Finding("durability", "ok", ", ".join(f"{name} {value}" for name, value in found.items()))


def _shape(connection: Connection) -> Finding:
    looked = inspect(connection)
    present = set(looked.get_table_names())
    broken = []
    for table in Base.metadata.sorted_tables:
        if table.name not in present:
            broken.append(f"no table {table.name}")
            continue
        columns = {column["name"] for column in looked.get_columns(table.name)}
        broken += [f"no column {table.name}.{column.name}" for column in table.columns if column.name not in columns]
    unguarded = sorted(set(APPEND_ONLY) - _guarded(connection))
    broken += [f"{name} may be changed: its triggers are gone" for name in unguarded]
    if broken:
        return Finding("tables", "error", "; ".join(broken[:_SHOWN]), _RESTORE)
    return Finding("tables", "ok", f"{len(Base.metadata.tables)} tables, {len(APPEND_ONLY)} of them append-only")


def _guarded(connection: Connection) -> set[str]:
    """Return the tables of which neither a change nor a removal is let through."""
    if connection.dialect.name == "sqlite":
        rows = connection.exec_driver_sql("SELECT tbl_name, name FROM sqlite_master WHERE type = 'trigger'")
        named = {(str(table), str(name)) for table, name in rows}
        verbs = ("update", "delete")
        return {table for table in APPEND_ONLY if all((table, f"{table}_no_{verb}") in named for verb in verbs)}
    rows = connection.exec_driver_sql(
        "SELECT relname FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid "
        "WHERE tgname = relname || '_append_only' AND tgenabled <> 'D'"
    )
    return {str(row[0]) for row in rows}


def _rows(connection: Connection) -> Iterator[Finding]:
    for law in LAWS:
        # A law is written without a single `:`, which `text` would take for a parameter.
        found = [str(row[0]) for row in connection.execute(text(law.query)).fetchmany(_SHOWN + 1)]
        if found:
            more = " and more" if len(found) > _SHOWN else ""
            yield Finding(law.name, "error", f"{law.told}: {', '.join(found[:_SHOWN])}{more}", _RESTORE)
        else:
            yield Finding(law.name, "ok", "adds up")
