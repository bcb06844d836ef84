"""The schema through time, on both engines: up from every revision with rows in it, down to every one and up again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import JSON, Boolean, DateTime, Float, Integer, MetaData, Table, func, insert, inspect, select, text
from sqlalchemy.exc import DBAPIError

from finetune_assets.storage import migrations, upgrading
from finetune_assets.storage.api_keys import KeyBook
from finetune_assets.storage.clock import utc_now
from finetune_assets.storage.database import Database
from finetune_assets.storage.errors import StorageError
from finetune_assets.storage.models import APPEND_ONLY, SCHEMA_REVISION, Base
from finetune_assets.storage.upgrading import back_up, change_schema
from finetune_assets_tests.storage.databases import DATABASES, fresh_url

REVISIONS = migrations.revisions()
OLDER = REVISIONS[:-1]
# Texts that a check of their table asks for.
LEGAL = {
    ("tuning_events", "request_key"): "tuning_intents request_key",
    ("error_cases", "state"): "new",
    ("case_events", "to_state"): "new",
    ("case_events", "from_state"): "",
    ("case_corrections", "method"): "manual",
    ("case_sides", "side"): "train",
    ("feedback", "verdict"): "wrong",
    ("feedback_texts", "kind"): "input",
    ("trigger_events", "kind"): "fire",
    ("trigger_events", "run_key"): "run",
    ("api_keys", "revoked_by"): "",
    ("error_cases", "dataset_version"): "",
    ("error_cases", "dismissed_for"): "",
}


@pytest.fixture(params=DATABASES)
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    with fresh_url(request.param, tmp_path, is_empty=True) as url:
        database = Database(url)
        yield database
        database.close()


def at(database: Database, revision: str) -> None:
    with database.changing_schema() as connection:
        migrations.upgrade(connection, revision)


def tables_of(database: Database) -> list[Table]:
    found = MetaData()
    found.reflect(database.engine)
    return [table for table in found.sorted_tables if table.name != "alembic_version"]


def value_of(table: str, column: Any) -> Any:
    if (table, column.name) in LEGAL:
        return LEGAL[table, column.name]
    kinds: list[tuple[Any, Any]] = [(JSON, {}), (Boolean, True), (DateTime, utc_now()), (Float, 0.5), (Integer, 1)]
    return next((value for kind, value in kinds if isinstance(column.type, kind)), f"{table} {column.name}")


def fill(database: Database) -> None:
    """Put one row into every table that there is."""
    tables = tables_of(database)
    with database.session() as session:
        for table in tables:
            row = {one.name: value_of(table.name, one) for one in table.columns if not one.nullable}
            row |= {one.name: row.get(one.name, LEGAL.get((table.name, one.name))) for one in table.columns}
            session.execute(insert(table).values(**row))
        if not database.is_sqlite:  # rows with numbers of their own leave the sequences behind
            for table in tables:
                if "id" in table.columns:
                    session.execute(text(f"SELECT setval(pg_get_serial_sequence('{table.name}', 'id'), 1)"))


def rows_of(database: Database) -> dict[str, list[dict[str, Any]]]:
    tables = tables_of(database)
    with database.reading() as session:
        return {table.name: [dict(row._mapping) for row in session.execute(select(table))] for table in tables}


def differences(database: Database) -> list[Any]:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True, "compare_type": True})
        return compare_metadata(context, Base.metadata)


def assert_guarded(database: Database, tables: Iterable[str]) -> None:
    """A table of evidence refuses both verbs, whatever made it anew on the way."""
    for table in tables:
        for statement in (f"UPDATE {table} SET id = id", f"DELETE FROM {table}"):
            with pytest.raises(DBAPIError, match="append-only"), database.session() as session:
                session.execute(text(statement))


def kept(before: dict[str, list[dict[str, Any]]], after: dict[str, list[dict[str, Any]]]) -> None:
    for table, rows in before.items():
        found = [{name: row[name] for name in rows[0]} for row in after[table]] if rows else []
        assert found == rows, table


@pytest.mark.parametrize("revision", OLDER)
def test_up_from_every_revision_with_rows_in_it_and_down_to_it_again(empty: Database, revision: str) -> None:
    at(empty, revision)
    fill(empty)
    before = rows_of(empty)
    assert all(len(rows) == 1 for rows in before.values())
    Database.open(empty.url).close()
    assert empty.revision() == SCHEMA_REVISION
    kept(before, rows_of(empty))
    assert differences(empty) == []
    assert_guarded(empty, [table for table in APPEND_ONLY if table in before])
    change_schema(empty, revision, may_go_back=True)
    assert empty.revision() == revision
    kept(before, rows_of(empty))
    change_schema(empty)
    kept(before, rows_of(empty))


def test_down_to_nothing_and_up_again(empty: Database) -> None:
    at(empty, "head")
    change_schema(empty, "base", may_go_back=True)
    assert empty.revision() is None
    assert set(inspect(empty.engine).get_table_names()) <= {"alembic_version"}
    change_schema(empty)
    assert differences(empty) == []
    fill(empty)
    assert_guarded(empty, APPEND_ONLY)


def test_a_way_back_that_would_lose_rows_is_refused(empty: Database) -> None:
    at(empty, "head")
    fill(empty)
    before = rows_of(empty)
    with pytest.raises(StorageError, match="would lose what is there") as caught:
        change_schema(empty, "0003", may_go_back=True)
    assert "1 rows of error_cases" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert (empty.revision(), rows_of(empty)) == (SCHEMA_REVISION, before)


def test_a_row_that_comes_on_the_way_back_is_not_lost(empty: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    at(empty, "head")
    change = upgrading._change

    def meanwhile(database: Database, *rest: Any, **more: Any) -> tuple[str, ...]:
        KeyBook(database).create("ana", ["predict"])  # by another process, after the first look
        return change(database, *rest, **more)

    monkeypatch.setattr(upgrading, "_change", meanwhile)
    with pytest.raises(StorageError, match="1 rows of api_keys"):
        change_schema(empty, "0004", may_go_back=True)
    assert empty.revision() == SCHEMA_REVISION
    assert [key.name for key in KeyBook(empty).list()] == ["ana"]


def test_a_column_with_values_counts_as_a_loss(empty: Database) -> None:
    at(empty, "0003")
    fill(empty)
    with empty.session() as session:
        session.execute(text("UPDATE tuning_intents SET run_key = 'key'"))
        for table in ("tuning_events", "budget_ledger"):
            trigger = f"{table}_append_only ON {table}" if not empty.is_sqlite else f"{table}_no_delete"
            session.execute(text(f"DROP TRIGGER {trigger}"))
            session.execute(text(f"DELETE FROM {table}"))
        session.execute(text("DELETE FROM budget_months"))
    with pytest.raises(StorageError, match=r"1 values of tuning_intents\.run_key"):
        change_schema(empty, "0002", may_go_back=True)


def test_back_needs_the_word_for_it(empty: Database) -> None:
    at(empty, "head")
    with pytest.raises(StorageError, match="would take the schema back"):
        change_schema(empty, "0002")
    assert empty.revision() == SCHEMA_REVISION


def test_an_unknown_revision_names_those_that_are(empty: Database) -> None:
    with pytest.raises(StorageError, match=rf"no such revision; found 77; expected one of base, .*{SCHEMA_REVISION}"):
        change_schema(empty, "77")


def test_a_newer_database_is_left_alone(empty: Database) -> None:
    at(empty, "head")
    with empty.session() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StorageError, match="newer than this program"):
        change_schema(empty)
    assert empty.revision() == "9999"


def test_a_trial_changes_nothing_and_says_what_it_would_do(empty: Database) -> None:
    at(empty, "0003")
    tried = change_schema(empty, is_tried=True)
    assert (tried.before, tried.after, tried.is_tried, tried.backup) == ("0003", SCHEMA_REVISION, True, None)
    assert any("CREATE TABLE error_cases" in statement for statement in tried.statements)
    assert empty.revision() == "0003"
    assert "error_cases" not in inspect(empty.engine).get_table_names()
    done = change_schema(empty)
    assert done.statements == tried.statements
    assert change_schema(empty).statements == ()


def test_a_file_is_copied_first_while_others_write(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'finetune.db'}")
    at(database, "0003")
    fill(database)
    before = rows_of(database)
    done = change_schema(database)
    assert done.backup is not None
    assert done.backup.stat().st_mode & 0o777 == 0o600
    copy = Database(f"sqlite:///{done.backup}")
    assert (copy.revision(), rows_of(copy)) == ("0003", before)
    copy.close()
    with database.session() as session:  # a writer that has not committed
        session.execute(text("UPDATE tuning_intents SET error = 'half'"))
        later = Database(f"sqlite:///{back_up(database, 'later')}")
        with later.reading() as copied:
            assert copied.scalar(text("SELECT error FROM tuning_intents")) == "tuning_intents error"
        later.close()
    assert [path for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    database.close()


def test_a_failure_on_the_way_leaves_everything_as_it_was(empty: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    at(empty, "0003")
    real = migrations.upgrade

    def breaks(*given: Any) -> None:
        real(*given)
        raise RuntimeError("killed")

    monkeypatch.setattr(migrations, "upgrade", breaks)
    with pytest.raises(RuntimeError, match="killed"):
        change_schema(empty)
    assert empty.revision() == "0003"
    assert "error_cases" not in inspect(empty.engine).get_table_names()


def test_an_orphan_stops_a_change_of_a_file(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'finetune.db'}")
    at(database, "0003")
    with database.engine.connect() as connection:
        raw: Any = connection.connection.dbapi_connection
        raw.execute("PRAGMA foreign_keys=OFF")
        raw.execute("INSERT INTO release_events VALUES (1, 99, '', 'x', '2026-01-01', 'x', '', '')")
        raw.commit()
        connection.invalidate()
    with pytest.raises(StorageError, match="row 1 of release_events, which belongs to releases"):
        change_schema(database)
    assert database.revision() == "0003"
    database.close()


def test_the_numbers_go_on_after_an_upgrade(empty: Database) -> None:
    at(empty, "0003")
    fill(empty)
    change_schema(empty)
    stages = next(table for table in tables_of(empty) if table.name == "stage_results")
    row = rows_of(empty)["stage_results"][0]
    with empty.session() as session:
        session.execute(insert(stages).values({name: value for name, value in row.items() if name != "id"}))
        assert session.scalar(select(func.max(stages.c.id))) == 2
