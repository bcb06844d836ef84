"""What only PostgreSQL can do to the platform: refuse, vanish, run full, mix up the order of rows."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from sqlalchemy import event, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session

from finetune_assets.storage import database as database_module
from finetune_assets.storage.clock import utc_now
from finetune_assets.storage.database import Database
from finetune_assets.storage.errors import StorageError
from finetune_assets.storage.feedback_models import ErrorClusterRow
from finetune_assets.storage.home import Home
from finetune_assets.storage.models import LeaseRow, StageResultRow
from finetune_assets_tests.postgres import OWNER, PostgresServer, fresh_database, running_postgres
from finetune_assets_tests.storage.processes import finish, spawn

HUSH = "hush-hush-hush"


@pytest.fixture
def url() -> Iterator[str]:
    with fresh_database() as made:
        yield made


@pytest.fixture
def pg(url: str) -> Iterator[Database]:
    database = Database.open(url)
    yield database
    database.close()


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with running_postgres() as made, psycopg.connect(**place_of(made), autocommit=True) as admin:
        admin.execute(f"CREATE ROLE locked LOGIN PASSWORD '{HUSH}'")
        admin.execute("CREATE ROLE reader LOGIN")
        admin.execute("CREATE DATABASE shut")
        admin.execute("REVOKE CONNECT ON DATABASE shut FROM PUBLIC")
        Database.open(made.url()).close()
        admin.execute("GRANT SELECT ON alembic_version TO locked")
        yield made


def place_of(made: PostgresServer, name: str = "postgres") -> dict[str, str]:
    return {"host": str(made.folder), "user": OWNER, "dbname": name}


def stage(name: str) -> StageResultRow:
    texts = dict.fromkeys(("task", "namespace", "run_id", "kind", "key", "digest"), "x")
    return StageResultRow(stage=name, reused=False, created_at=utc_now(), **texts)


def refused(url: str) -> str:
    with pytest.raises(StorageError) as caught:
        Database.open(url).close()
    line = str(caught.value)
    assert "\n" not in line
    return line


# --- refusals in one line


def test_a_server_that_is_down(server: PostgresServer) -> None:
    line = refused("postgresql+psycopg://ann:hush-hush@127.0.0.1:1/db")
    assert line.startswith("the database cannot be reached at postgresql+psycopg://ann:***@127.0.0.1:1/db")
    assert "hush" not in line
    assert "cannot be reached" in refused("postgresql+psycopg://ann@/db?host=/nowhere")


@pytest.mark.parametrize("password", ["", ":wrong-secret"])
def test_a_wrong_password(server: PostgresServer, password: str) -> None:
    line = refused(server.url().replace(OWNER, f"locked{password}"))
    assert line.startswith("the database server does not let this user in")
    assert "wrong-secret" not in line
    assert "correct user and password in the database URL" in line


def test_the_right_password(server: PostgresServer) -> None:
    database = Database(server.url().replace(OWNER, f"locked:{HUSH}"))
    assert database.revision() is not None
    assert HUSH not in database.place + repr(database.engine)
    database.close()


def test_a_user_who_is_not_known_there(server: PostgresServer) -> None:
    assert "does not let this user in" in refused(server.url(user="nobody_there"))


def test_a_database_that_is_not_there(server: PostgresServer) -> None:
    line = refused(server.url("nowhere"))
    assert line.startswith("the database does not exist on its server")
    assert "createdb" in line


def test_a_database_that_is_shut(server: PostgresServer) -> None:
    assert "does not let this user in" in refused(server.url("shut", user="reader"))


def test_a_user_without_permission(server: PostgresServer) -> None:
    database = Database(server.url(user="reader"))
    with pytest.raises(StorageError, match="lacks a permission") as caught, database.session() as session:
        session.add(stage("x"))
    assert "\n" not in str(caught.value)
    database.close()


def test_a_server_that_may_only_be_read(server: PostgresServer) -> None:
    database = Database(server.url() + "&options=-cdefault_transaction_read_only%3Don")
    with pytest.raises(StorageError, match="may only be read"), database.session() as session:
        session.add(stage("x"))
    database.close()


def test_a_server_without_connections_left(server: PostgresServer) -> None:
    with psycopg.connect(**place_of(server), autocommit=True) as admin:
        admin.execute("ALTER ROLE reader CONNECTION LIMIT 0")
        try:
            line = refused(server.url(user="reader"))
        finally:
            admin.execute("ALTER ROLE reader CONNECTION LIMIT -1")
    assert line.startswith("the database server has no connection left")


@contextmanager
def failing_with(database: Database, error: Exception) -> Iterator[None]:
    """Let the driver raise at the next statement."""

    def fail(*_all: object) -> None:
        raise error

    event.listen(database.engine, "do_execute", fail)
    event.listen(database.engine, "do_execute_no_params", fail)
    try:
        yield
    finally:
        event.remove(database.engine, "do_execute", fail)
        event.remove(database.engine, "do_execute_no_params", fail)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (psycopg.errors.DiskFull("could not extend file"), "the database server's disk is full"),
        (psycopg.errors.DeadlockDetected("deadlock"), "the database is busy"),
        (psycopg.errors.SerializationFailure("could not serialize"), "the database is busy"),
        (psycopg.errors.DataCorrupted("invalid page"), "the database is damaged"),
        (psycopg.errors.CannotConnectNow("the database system is starting up"), "starting or stopping"),
    ],
)
def test_what_a_server_says(pg: Database, error: Exception, line: str) -> None:
    with failing_with(pg, error), pytest.raises(StorageError, match=line), pg.session() as session:
        session.add(stage("x"))


@pytest.mark.parametrize("driver", ["postgres", "mysql", "postgresql+psycopg2", "postgresql+asyncpg"])
def test_another_driver(driver: str) -> None:
    line = refused(f"{driver}://ann:hush@host/db")
    assert "hush" not in line
    assert "postgresql+psycopg://USER@HOST/NAME" in line


def test_an_option_that_is_not_known() -> None:
    assert "has an option that is not known" in refused("postgresql+psycopg://ann:hush@127.0.0.1/db?sslmod=require")


# --- the server goes away


def test_a_restart_between_two_transactions() -> None:
    with running_postgres() as server:
        database = Database.open(server.url())
        with database.session() as session:
            session.add(stage("before"))
        server.stop(keep=True)
        with pytest.raises(StorageError, match="cannot be reached"), database.session() as session:
            session.add(stage("meanwhile"))
        server.start_again()
        with database.session() as session:
            session.add(stage("after"))
        with database.reading() as session:
            assert session.scalars(select(StageResultRow.stage).order_by(StageResultRow.id)).all() == [
                "before",
                "after",
            ]
        database.close()


def test_a_connection_lost_in_a_transaction(pg: Database, url: str) -> None:
    def lose() -> None:
        with pg.session() as session:
            session.add(stage("lost"))
            session.flush()
            pid = session.scalar(text("SELECT pg_backend_pid()"))
            with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as admin:
                admin.execute("SELECT pg_terminate_backend(%s)", (pid,))
            session.add(stage("too late"))
            session.flush()

    with pytest.raises(StorageError, match=r"starting or stopping|cannot be reached") as caught:
        lose()
    assert "\n" not in str(caught.value)
    with pg.session() as session:
        session.add(stage("kept"))
    with pg.reading() as session:
        assert session.scalars(select(StageResultRow.stage)).all() == ["kept"]


# --- the promises of a transaction


def test_rows_appear_in_the_order_of_their_numbers(pg: Database) -> None:
    """A reader that goes on after the highest number must not miss one that was given out earlier."""
    first_has_number, second_is_done = threading.Event(), threading.Event()

    def first() -> None:
        with pg.session() as session:
            session.add(stage("first"))
            session.flush()
            first_has_number.set()
            second_is_done.wait(0.5)

    def second() -> None:
        first_has_number.wait(5)
        with pg.session() as session:
            session.add(stage("second"))
        second_is_done.set()

    seen: list[list[int]] = []
    threads = [threading.Thread(target=work) for work in (first, second)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        with pg.reading() as session:
            seen.append(list(session.scalars(select(StageResultRow.id).order_by(StageResultRow.id))))
    assert all(found == list(range(1, len(found) + 1)) for found in seen)
    with pg.reading() as session:
        assert session.scalars(select(StageResultRow.stage).order_by(StageResultRow.id)).all() == ["first", "second"]


def test_what_was_read_cannot_change_before_it_is_written(pg: Database) -> None:
    """Sixteen threads count and add one; without one writer at a time some would count the same."""

    def add() -> None:
        for _ in range(5):
            with pg.session() as session:
                number = len(session.scalars(select(StageResultRow.id)).all())
                session.add(stage(str(number)))

    threads = [threading.Thread(target=add) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with pg.reading() as session:
        found = session.scalars(select(StageResultRow.stage).order_by(StageResultRow.id)).all()
    assert found == [str(number) for number in range(40)]


def test_it_does_so_whatever_the_servers_isolation(url: str) -> None:
    strict = Database.open(url + "&options=-cdefault_transaction_isolation%3Dserializable")
    with strict.session() as session:
        assert session.scalar(text("SHOW transaction_isolation")) == "read committed"
    with strict.reading() as session:
        assert session.scalar(text("SHOW transaction_isolation")) == "repeatable read"
    strict.close()


def test_a_reader_cannot_write(pg: Database) -> None:
    with pytest.raises(StorageError, match="may only be read"), pg.reading() as session:
        session.add(stage("x"))


def test_a_writer_that_stays_is_one_line(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "_BUSY_TIMEOUT_S", 0.05)
    impatient, holder = Database.open(url), Database.open(url)

    def wait() -> None:
        with impatient.session() as session:
            session.scalars(select(LeaseRow.name)).all()

    def read() -> None:
        with impatient.reading() as session:
            session.scalars(select(LeaseRow.name)).all()

    with holder.session() as held:
        held.scalars(select(LeaseRow.name)).all()
        with pytest.raises(StorageError, match="the database is busy"):
            wait()
        read()
    wait()
    impatient.close()
    holder.close()


UPGRADES = """
    import sys
    from finetune_assets.storage.database import Database
    Database.open(sys.argv[1]).close()
    """


def test_several_processes_may_open_a_new_database_at_once() -> None:
    with fresh_database(is_empty=True) as empty:
        for process in [spawn(UPGRADES, empty) for _ in range(4)]:
            finish(process)
        database = Database(empty)
        assert database.revision() is not None
        database.close()


# --- what must not show


def test_a_violation_does_not_quote_the_row(pg: Database) -> None:
    def twice(session: Session) -> None:
        for _ in range(2):
            session.add(ErrorClusterRow(task="t", cluster_key="Erika Muster", sketch="private", created_at=utc_now()))
            session.flush()

    with pytest.raises(IntegrityError) as caught, pg.session() as session:
        twice(session)
    shown = f"{caught.value} {caught.value!r} {caught.value.orig} {caught.value.orig!r}"
    assert "uq_error_clusters" in shown
    assert "Erika" not in shown
    assert "private" not in shown


def test_a_statement_that_fails_does_not_quote_its_values(db: Database) -> None:
    query = text("SELECT nothing FROM nowhere WHERE name = :name").bindparams(name="Erika Muster")
    with pytest.raises(DBAPIError, match="nowhere") as caught, db.session() as session:
        session.execute(query)
    assert "Erika" not in str(caught.value)


def test_a_home_does_not_show_its_password() -> None:
    home = Home.from_environment({"FINETUNE_DATABASE_URL": " postgresql+psycopg://ann:hush@host/db "})
    assert home.database_url == "postgresql+psycopg://ann:hush@host/db"
    assert "hush" not in repr(home)


def test_no_server_stays_behind_a_killed_process() -> None:
    import time
    from pathlib import Path

    program = """
        import os, signal, sys
        from pathlib import Path
        from finetune_assets_tests.postgres import PostgresServer
        server = PostgresServer(Path(sys.argv[1]))
        print(server.folder, (server.folder / "data" / "postmaster.pid").read_text().split()[0], flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
        """
    from finetune_assets_tests.postgres import runnable

    found = runnable()
    if found is None:
        pytest.skip("no PostgreSQL here")
    process = spawn(program, str(found))
    folder, pid = process.communicate(timeout=60)[0].split()
    end = time.monotonic() + 20
    while Path(folder).exists() or Path(f"/proc/{pid}").exists():
        assert time.monotonic() < end, f"{folder} or process {pid} stayed"
        time.sleep(0.05)
