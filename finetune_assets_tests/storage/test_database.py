from __future__ import annotations

import json
import os
import re
import sqlite3
import stat
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, event, inspect, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from finetune_assets.storage import database as database_module
from finetune_assets.storage import migrations
from finetune_assets.storage.clock import utc_now
from finetune_assets.storage.database import Database
from finetune_assets.storage.errors import StorageError
from finetune_assets.storage.intents import find_intent, mark
from finetune_assets.storage.models import APPEND_ONLY, SCHEMA_REVISION, Base, LeaseRow, ReleaseRow, TuningIntentRow
from finetune_assets_tests.storage.processes import finish, spawn


def lease_row(name: str, **changes: object) -> LeaseRow:
    now = utc_now()
    values = {"holder": "", "host": "h", "pid": 1, "process_started": "1", "acquired_at": now, "expires_at": now}
    return LeaseRow(name=name, fence=1, **(values | changes))


def test_the_migrations_equal_the_models(db: Database) -> None:
    with db.engine.connect() as connection:
        differences = compare_metadata(
            MigrationContext.configure(connection, opts={"compare_server_default": True}), Base.metadata
        )
    assert differences == []


def test_the_migrations_write_the_same_sql_as_the_models(sqlite: Database, tmp_path: Path) -> None:
    fresh = create_engine(f"sqlite:///{tmp_path / 'models.db'}")
    Base.metadata.create_all(fresh)

    def schema(path: str) -> dict[str, list[str]]:
        query = "SELECT name, sql FROM sqlite_master WHERE type IN ('table', 'index') AND sql IS NOT NULL"
        with sqlite3.connect(path) as connection:
            rows = dict(connection.execute(query).fetchall())
        rows.pop("alembic_version", None)
        # The order of constraints inside a table means nothing; a table that was made anew has its name in quotes.
        return {name: sorted(re.split(r",?\s*\n\s*", sql.replace('"', ""))) for name, sql in rows.items()}

    assert schema(str(sqlite.engine.url.database)) == schema(str(tmp_path / "models.db"))
    fresh.dispose()


def test_the_newest_migration_is_the_one_that_opening_compares(db: Database) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    assert ScriptDirectory.from_config(config).get_heads() == [SCHEMA_REVISION]
    assert db.revision() == SCHEMA_REVISION


def test_downgrade_leaves_an_empty_database(db: Database) -> None:
    from alembic import command

    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    with db.engine.connect() as connection, connection.begin():
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
    assert inspect(db.engine).get_table_names() == ["alembic_version"]


def test_jobs_of_an_older_database_are_kept(db: Database) -> None:
    from alembic import command

    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    with db.engine.connect() as connection, connection.begin():
        config.attributes["connection"] = connection
        command.downgrade(config, "0002")
        connection.execute(
            text(
                "INSERT INTO tuning_intents (request_key, task, backend, state, handle, attempt, error, created_at, "
                "updated_at) VALUES ('old', 't', 'local', 'RUNNING', '/work', 1, '', '2026-01-01 00:00:00', "
                "'2026-01-02 00:00:00')"
            )
        )
        command.upgrade(config, "head")
    intent = find_intent(db, "old")
    assert intent is not None
    assert (intent.state, intent.handle, intent.attempt, intent.created_at.month) == ("RUNNING", "/work", 1, 1)
    assert (intent.run_key, intent.phase, intent.request, intent.estimate_high) == ("", "", {}, None)
    assert mark(db, "old", "SUCCEEDED").state == "SUCCEEDED"
    with db.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_settings_of_every_connection(sqlite: Database) -> None:
    with sqlite.reading() as session:
        found = {
            name: session.scalar(text(f"PRAGMA {name}"))
            for name in ("journal_mode", "foreign_keys", "synchronous", "busy_timeout")
        }
    assert found == {"journal_mode": "wal", "foreign_keys": 1, "synchronous": 2, "busy_timeout": 10_000}


def test_open_makes_the_folder_private(tmp_path: Path) -> None:
    Database.open(f"sqlite:///{tmp_path / 'deep' / 'home' / 'f.db'}").close()
    assert stat.S_IMODE((tmp_path / "deep" / "home").stat().st_mode) == 0o700


def test_a_session_commits_or_rolls_back(db: Database) -> None:
    with db.session() as session:
        session.add(lease_row("kept"))

    def broken() -> None:
        with db.session() as session:
            session.add(lease_row("lost"))
            session.flush()
            raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        broken()
    with db.reading() as session:
        assert session.scalars(select(LeaseRow.name)).all() == ["kept"]


def test_a_reader_sees_one_state_and_waits_for_nobody(db: Database) -> None:
    with db.reading() as reader:
        assert reader.scalars(select(LeaseRow.name)).all() == []
        with db.session() as writer:
            writer.add(lease_row("new"))
            writer.flush()
            with db.reading() as other:
                assert other.scalars(select(LeaseRow.name)).all() == []
        assert reader.scalars(select(LeaseRow.name)).all() == []
    with db.reading() as reader:
        assert reader.scalars(select(LeaseRow.name)).all() == ["new"]


def test_times_come_back_aware_and_in_utc(db: Database) -> None:
    east = datetime(2026, 3, 1, 5, 30, 0, 123456, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    with db.session() as session:
        session.add(lease_row("east", expires_at=east))
    with db.reading() as session:
        row = session.get_one(LeaseRow, "east")
    assert row.expires_at == east
    assert row.expires_at.tzinfo is UTC
    assert row.expires_at.hour == 0


def test_a_text_may_hold_whatever_people_send(db: Database) -> None:
    odd = "nul \x00, quote ' % :name \\ \U0001f600 \u202e"
    with db.session() as session:
        session.add(lease_row("odd", holder=odd))
    with db.reading() as session:
        found = session.scalars(select(LeaseRow).where(LeaseRow.holder == odd)).one()
    assert found.holder == odd.replace("\x00", "\ufffd")


def test_naive_times_are_refused(db: Database) -> None:
    def naive() -> None:
        with db.session() as session:
            session.add(lease_row("naive", expires_at=datetime(2026, 1, 1)))

    with pytest.raises(Exception, match="aware"):
        naive()


def test_foreign_keys_hold(db: Database) -> None:
    def orphan() -> None:
        with db.session() as session:
            session.execute(
                text(
                    "INSERT INTO pointer_history (task, seq, release_id, action, at, by, run_id) "
                    "VALUES ('t', 1, 99, 'deploy', '2026-01-01 00:00:00', 'x', '')"
                )
            )

    with pytest.raises(IntegrityError, match=r"(?i)foreign key"):
        orphan()


def intent_row(key: str) -> TuningIntentRow:
    texts = ("task", "backend", "state", "handle", "error", "namespace", "variant", "phase", "provider_state")
    texts += ("cancel_requested_by", "currency", "prices_as_of")
    now = utc_now()
    return TuningIntentRow(
        request_key=key, attempt=1, request={}, created_at=now, updated_at=now, **dict.fromkeys(texts, "x")
    )


ROWS = {
    "pointer_history": "(task, seq, release_id, action, at, by, run_id) VALUES ('t', 1, 1, 'deploy', '{at}', 'x', '')",
    "release_events": "(release_id, from_state, to_state, at, by, note, run_id) "
    "VALUES (1, '', 'x', '{at}', 'x', '', '')",
    "approvals": "(task, candidate, report_digest, decision, approver, authenticated, policy, note, at) "
    "VALUES ('t', 'c', 'd', 'approve', 'x', true, 'manual', '', '{at}')",
    "reports": "(task, namespace, report_key, digest, candidate, baseline, verdict, run_id, created_at) "
    "VALUES ('t', 'main', 'k', 'd', 'c', '', 'PASS', 'r', '{at}')",
    "dataset_versions": "(task, namespace, number, inputs_key, artifact_key, digest, created_at) "
    "VALUES ('t', 'main', 2, 'i', 'a', 'd', '{at}')",
    "dataset_restores": "(version_id, restored_from, by, at) VALUES (1, 1, 'x', '{at}')",
    "tuning_events": "(request_key, attempt, run_key, from_state, to_state, phase, provider_state, handle, at, by, "
    "note) "
    "VALUES ('key', 1, '', '', 'INTENDED', '', '', '', '{at}', 'x', '')",
    "budget_ledger": "(task, month, run_key, seq, kind, amount, at, by, note) "
    "VALUES ('t', '2026-01', 'r', 1, 'reserve', 1, '{at}', 'x', '')",
    "case_events": "(case_id, from_state, to_state, source, detail, by, at) "
    "VALUES (1, '', 'new', 's', '', 'x', '{at}')",
    "case_corrections": "(case_id, content_digest, method, rater, at) VALUES (1, 'd', 'manual', 'x', '{at}')",
    "case_asides": "(case_id, correction_id, reason, at) VALUES (1, 1, 'x', '{at}')",
    "case_sides": "(task, group_key, side, at) VALUES ('t', 'g', 'train', '{at}')",
    "feedback": "(task, content_digest, request_id, verdict, rater, origin, at) "
    "VALUES ('t', 'd', 'q', 'wrong', 'x', 'api', '{at}')",
    "forget_log": "(subject, counts, by, at) VALUES ('s', '{{}}', 'x', '{at}')",
    "trigger_events": "(task, kind, window_digest, policy_digest, reasons, evidence, by, at) "
    "VALUES ('t', 'wait', 'w', 'p', '[]', '{{}}', 'x', '{at}')",
}
CASE = (
    "INSERT INTO error_clusters (id, task, cluster_key, sketch, created_at) VALUES (1, 't', 'k', '', '2026-01-01')",
    "INSERT INTO error_cases (id, task, case_key, cluster_id, state, source, prediction_id, input_digest, "
    "answer_digest, label, signals, score, groups, dataset_version, dismissed_for, reported_at, updated_at) VALUES "
    "(1, 't', 'c', 1, 'new', 'detector', '', '', '', '', '[]', 0, '[]', '', '', '2026-01-01', '2026-01-01')",
)


@pytest.mark.parametrize(
    "change",
    [
        "state = 'lost'",
        "state = 'consumed'",
        "state = 'corrected'",
        "state = 'dismissed'",
        "dataset_version = 'v1'",
        "correction_id = 1",
    ],
)
def test_an_error_case_stands_in_one_legal_state(db: Database, change: str) -> None:
    with db.session() as session:
        for statement in CASE:
            session.execute(text(statement))

    def break_it() -> None:
        with db.session() as session:
            session.execute(text(f"UPDATE error_cases SET {change}"))

    with pytest.raises(IntegrityError, match="ck_error_cases"):
        break_it()


@pytest.mark.parametrize("table", APPEND_ONLY)
@pytest.mark.parametrize("change", ["UPDATE {} SET id = 7", "DELETE FROM {}"])
def test_evidence_is_append_only(db: Database, table: str, change: str) -> None:
    now = utc_now()
    with db.session() as session:
        session.add(
            ReleaseRow(
                id=1,
                version=1,
                scores={},
                created_at=now,
                updated_at=now,
                **dict.fromkeys(
                    (
                        "task",
                        "candidate",
                        "state",
                        "base_model",
                        "request_key",
                        "dataset_digest",
                        "report_key",
                        "report_digest",
                        "artifact_key",
                    ),
                    "x",
                ),
            )
        )
        session.flush()
        if table == "dataset_restores":  # which speaks of a version
            session.execute(
                text("INSERT INTO dataset_versions " + ROWS["dataset_versions"].format(at="2026-01-01 00:00:00"))
            )
        if table == "tuning_events":  # which speaks of a job
            session.add(intent_row("key"))
            session.flush()
        if table in ("case_events", "case_corrections", "case_asides"):  # which speak of a case
            for statement in CASE:
                session.execute(text(statement))
        session.execute(text(f"INSERT INTO {table} " + ROWS[table].format(at="2026-01-01 00:00:00")))

    def forge() -> None:
        with db.session() as session:
            session.execute(text(change.format(table)))

    with pytest.raises(DBAPIError, match="append-only"):
        forge()
    with db.reading() as session:
        assert session.execute(text(f"SELECT id FROM {table}")).scalars().all() == [1]


OPENS = """
    import json, sys, time
    start = time.process_time()
    import finetune_assets.storage.database as module
    imported = time.process_time() - start
    database = module.Database.open(sys.argv[1])
    heavy = ("alembic", "pydantic", "dagster", "numpy", "pandas", "torch")
    database.revision()
    print(json.dumps({"imported_s": imported, "loaded": [name for name in heavy if name in sys.modules]}))
    """


def test_opening_an_up_to_date_database_is_light(sqlite: Database) -> None:
    answers = [json.loads(finish(spawn(OPENS, sqlite.url))) for _ in range(3)]
    assert all(answer["loaded"] == [] for answer in answers)
    assert min(answer["imported_s"] for answer in answers) < 0.4


def test_opening_a_new_database_loads_alembic(url: str) -> None:
    assert json.loads(finish(spawn(OPENS, url)))["loaded"] == ["alembic"]


def test_several_processes_may_open_a_new_database_at_once(url: str) -> None:
    processes = [spawn(OPENS, url) for _ in range(4)]
    for process in processes:
        finish(process)
    database = Database.open(url)
    assert database.revision() == SCHEMA_REVISION
    with database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    database.close()


def test_a_failed_upgrade_leaves_no_trace(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = migrations.upgrade

    def breaks(connection: object) -> None:
        real(connection)
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(migrations, "upgrade", breaks)
        with pytest.raises(RuntimeError, match="killed"):
            Database.open(url)
    with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == []
    database = Database.open(url)
    assert database.revision() == SCHEMA_REVISION
    with database.reading() as session:  # the upgrade's own settings are gone
        assert session.scalar(text("PRAGMA foreign_keys")) == 1
    database.close()


def test_a_database_from_the_future_is_one_line(db: Database) -> None:
    with db.session() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StorageError, match="newer than this program"):
        Database.open(db.url)
    assert db.revision() == "9999"


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "no url", "oracle_of_delphi://x/y"])
def test_urls_that_cannot_work(url: str) -> None:
    with pytest.raises(StorageError) as caught:
        Database.open(url)
    assert "\n" not in str(caught.value)


def test_a_password_never_shows() -> None:
    def shown() -> str:
        try:
            return Database("postgresql+psycopg://me:hush@nowhere.invalid/db").place
        except StorageError as error:  # the driver is not installed
            return str(error)

    assert "psycopg" in shown()
    assert "hush" not in shown()


def test_a_file_that_is_no_database_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "f.db").write_text("<html>not a database</html>" * 100)
    with pytest.raises(StorageError, match="not a database") as caught:
        Database.open(f"sqlite:///{tmp_path / 'f.db'}")
    assert str(tmp_path / "f.db") in str(caught.value)


def test_a_folder_in_the_way_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be opened"):
        Database.open(f"sqlite:///{tmp_path}")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_database_is_one_line(sqlite: Database, tmp_path: Path) -> None:
    sqlite.close()
    for path in tmp_path.iterdir():
        path.chmod(0o400)
    tmp_path.chmod(0o500)

    def write() -> None:
        with Database(sqlite.url).session() as session:
            session.add(lease_row("x"))

    with pytest.raises(StorageError, match="cannot be"):
        write()


def test_a_full_disk_is_one_line_and_changes_nothing(sqlite: Database) -> None:
    @event.listens_for(sqlite.engine, "connect")
    def small(connection: sqlite3.Connection, _record: object) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count={pages + 2}")

    sqlite.close()  # new connections see the small disk

    def fill() -> None:
        with sqlite.session() as session:
            session.add(lease_row("first"))
            session.add(lease_row("x" * 100_000))

    with pytest.raises(StorageError, match="the disk is full") as caught:
        fill()
    assert "\n" not in str(caught.value)
    assert str(sqlite.engine.url.database) in str(caught.value)
    with sqlite.reading() as session:
        assert session.scalars(select(LeaseRow.name)).all() == []


def test_a_lock_that_stays_is_one_line(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Database.open(url).close()
    monkeypatch.setattr(database_module, "_BUSY_TIMEOUT_S", 0.05)
    impatient, holder = Database.open(url), Database.open(url)

    def wait() -> None:
        with impatient.session() as session:
            session.scalars(select(LeaseRow.name)).all()

    with holder.session() as held:
        held.scalars(select(LeaseRow.name)).all()
        with pytest.raises(StorageError, match="busy"):
            wait()
    wait()
    impatient.close()
    holder.close()


def test_bugs_keep_their_traceback(db: Database) -> None:
    def bug() -> None:
        with db.session() as session:
            session.execute(text("SELECT nothing FROM nowhere"))

    with pytest.raises(DBAPIError, match="nowhere"):
        bug()


def test_an_ini_for_developers_finds_the_migrations() -> None:
    config = Config(str(Path(migrations.__file__).parents[1] / "alembic.ini"))
    assert ScriptDirectory.from_config(config).get_heads() == [SCHEMA_REVISION]
