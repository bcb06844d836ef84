"""The database: SQLite in WAL by default, PostgreSQL by URL. Opening, transactions, and errors in one line.

Both keep the same promises; what PostgreSQL needs for that stands in `postgres.py`.
Importing this module loads SQLAlchemy and nothing heavier; Alembic is loaded only to change the schema.
"""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.exc import TimeoutError as NoConnectionError
from sqlalchemy.orm import Session

from finetune_assets.storage import postgres
from finetune_assets.storage.errors import StorageError
from finetune_assets.storage.files import disk_full, explain_unwritable
from finetune_assets.storage.models import SCHEMA_REVISION

_BUSY_TIMEOUT_S = 10.0
_UPGRADE_TIMEOUT_S = 60.0
_NO_ROOM_BYTES = 1 << 20
_READING = "finetune_reading"
_PATIENCE = "finetune_patience_s"


class Database:
    """One database, shared by threads; each transaction takes a connection of its own.

    Args:
        url: SQLAlchemy URL, `sqlite:///…/finetune.db` or `postgresql+psycopg://…`.

    Raises:
        StorageError: for a URL that cannot be used, or a missing driver.
    """

    def __init__(self, url: str) -> None:
        self._url = _parsed(url)
        self.url = url
        self._engine = _engine(self._url)
        self._reader = self._engine.execution_options(**_reading_options(self._url))

    @classmethod
    def open(cls, url: str) -> Database:
        """Open a database, bringing its schema up to date first; several processes may do so at once.

        An up-to-date database costs one small query and does not load Alembic.

        Args:
            url: as for `Database`; the folder of an SQLite file is made.

        Raises:
            StorageError: when the database cannot be reached or written, is damaged, or is newer than this program.
        """
        database = cls(url)
        try:
            if database.revision() != SCHEMA_REVISION:
                database._upgrade()
        except BaseException:
            database.close()
            raise
        return database

    @property
    def is_sqlite(self) -> bool:
        """Whether it is a file of SQLite."""
        return self._url.get_backend_name() == "sqlite"

    @property
    def place(self) -> str:
        """The database for people: the file, or the URL without its password."""
        if self.is_sqlite:
            return str(self._url.database)
        return self._url.render_as_string(hide_password=True)

    @property
    def engine(self) -> Engine:
        """The SQLAlchemy engine, for tools; code of the platform uses `session` and `reading`."""
        return self._engine

    def session(self) -> AbstractContextManager[Session]:
        """Give a session in one writing transaction: committed when the block ends, rolled back when it raises.

        Its first statement, even one that reads, waits until no other transaction writes (up to 10 s), so that what it
        reads cannot change before it writes, and rows appear in the order of their numbers.

        Raises:
            StorageError: when the disk is full, the database is locked for too long, damaged or out of reach.
        """
        return self._transaction(self._engine)

    def reading(self) -> AbstractContextManager[Session]:
        """Give a session for reading one consistent state; it neither waits for writers nor holds them up."""
        return self._transaction(self._reader)

    def revision(self) -> str | None:
        """Return the schema's version, None for a database without tables."""
        if self.is_sqlite and not Path(str(self._url.database)).exists():
            return None
        with self.reading() as session:
            return _revision(session.connection())

    def close(self) -> None:
        """Close the pooled connections."""
        self._engine.dispose()

    @contextmanager
    def _transaction(self, engine: Engine) -> Iterator[Session]:
        with self._explained(), Session(engine, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except NoConnectionError as error:
            raise StorageError(
                "too many transactions at once", where=self.place, mend="wait for others to finish, then run again"
            ) from error
        except DBAPIError as error:
            problem = explain(error, self.place, password=str(self._url.password or ""))
            if problem is None:
                raise
            raise problem from error

    @contextmanager
    def changing_schema(self) -> Iterator[Connection]:
        """Give a connection in a transaction that may change the schema; the file and its folder are made.

        One process changes it, others wait for up to a minute and find it done. A caller that rolls the transaction
        back leaves everything as it was.

        Raises:
            StorageError: when the database cannot be reached or written, or a row would be left without the one that
                it belongs to.
        """
        if self.is_sqlite:
            folder = Path(str(self._url.database)).absolute().parent
            with explain_unwritable(folder):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._explained(), self._engine.connect() as connection:
            if not self.is_sqlite:
                patient = connection.execution_options(**{_PATIENCE: _UPGRADE_TIMEOUT_S})
                with patient.begin():
                    yield patient
                return
            raw: Any = connection.connection.dbapi_connection
            _prepare_sqlite_upgrade(raw)
            try:
                with connection.begin() as transaction:
                    yield connection
                    if transaction.is_active:
                        _require_owners(connection, self.place)
            finally:
                connection.invalidate()  # its settings are those of an upgrade

    def _upgrade(self) -> None:
        with self.changing_schema() as connection:
            _upgrade_schema(connection)


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise StorageError(
            "database URL cannot be read", expected="sqlite:///PATH or postgresql+psycopg://USER@HOST/NAME"
        ) from error
    if parsed.drivername.partition("+")[0] != "sqlite":
        postgres.check_url(parsed)
    elif parsed.database in (None, "", ":memory:"):
        raise StorageError("a database in memory cannot be shared", found=url, expected="sqlite:///PATH of a file")
    return parsed


def _engine(url: URL) -> Engine:
    sqlite = url.get_backend_name() == "sqlite"
    options = {"connect_args": {"timeout": _BUSY_TIMEOUT_S}} if sqlite else postgres.engine_options(url)
    try:
        # Errors must not quote the rows that a statement carried: they hold texts of people.
        engine = create_engine(url, hide_parameters=True, **options)
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        raise StorageError(
            f"no driver for {url.drivername}",
            found=str(error),
            mend="install it: `pip install 'finetune_assets[postgres]'`",
        ) from error
    if sqlite:
        event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    else:
        event.listen(engine, "begin", _begin_postgres)
        event.listen(engine, "handle_error", postgres.leave_out_rows)
    return engine


def _reading_options(url: URL) -> dict[str, Any]:
    """Return what makes a transaction read one state throughout, as SQLite's snapshots do by themselves."""
    if url.get_backend_name() == "sqlite":
        return {_READING: True}
    return {_READING: True, "isolation_level": "REPEATABLE READ", "postgresql_readonly": True}


def _configure_sqlite(connection: Any, _record: object) -> None:
    # Python's own transaction control would begin one only at the first write, and then too late to wait for the lock.
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA synchronous=FULL")


def _begin_sqlite(connection: Connection) -> None:
    reading = connection.get_execution_options().get(_READING, False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


def _begin_postgres(connection: Connection) -> None:
    options = connection.get_execution_options()
    if not options.get(_READING, False):
        postgres.begin_writing(connection, options.get(_PATIENCE, _BUSY_TIMEOUT_S))


def _prepare_sqlite_upgrade(raw: Any) -> None:
    """Switch the file to WAL, and foreign keys off, which rebuilding a table would fire.

    Both have to happen outside a transaction.
    """
    raw.execute(f"PRAGMA busy_timeout={int(_UPGRADE_TIMEOUT_S * 1000)}")
    deadline = time.monotonic() + _UPGRADE_TIMEOUT_S
    while True:
        try:
            raw.execute("PRAGMA journal_mode=WAL").fetchall()
            break
        except sqlite3.OperationalError as error:
            # SQLite does not wait for the lock that this switch needs, whatever the timeout says.
            if not _is_busy(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
    raw.execute("PRAGMA foreign_keys=OFF")


def _require_owners(connection: Connection, place: str) -> None:
    """Check what SQLite did not check while the schema changed."""
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
    if broken:
        table, row, owner, _ = broken[0]
        raise StorageError(
            "the database has rows without the ones that they belong to",
            where=place,
            found=f"{len(broken)}, such as row {row} of {table}, which belongs to {owner}",
            mend="restore a backup in which `finetune db check` finds nothing",
        )


def _upgrade_schema(connection: Connection) -> None:
    if _revision(connection) == SCHEMA_REVISION:
        return
    from finetune_assets.storage.migrations import upgrade

    upgrade(connection)


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found


def _is_busy(error: sqlite3.Error) -> bool:
    return (error.sqlite_errorcode & 0xFF) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def explain(error: DBAPIError, place: str, *, password: str = "") -> StorageError | None:
    """Return the one line for an error of the machine; None for an error of the program, which keeps its traceback.

    Args:
        error: what the driver said.
        place: the database for people, the file of one of SQLite.
        password: taken out of what the driver said.
    """
    if isinstance(error.orig, sqlite3.Error):
        return _explain_sqlite(error.orig, place)
    return postgres.explain_postgres(error, place, password)


def _has_no_room(place: Path) -> bool:
    folder = next((parent for parent in place.absolute().parents if parent.exists()), Path("/"))
    return shutil.disk_usage(folder).free < _NO_ROOM_BYTES


def _explain_sqlite(error: sqlite3.Error, place: str) -> StorageError | None:
    # The codes beside the primary ones (low byte) only say more of the same. Errors that Python's own module raises
    # have none.
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    # A write-ahead log that cannot grow its index is reported as a failing disk.
    if code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and _has_no_room(Path(place))):
        return disk_full(Path(place))
    texts = {
        sqlite3.SQLITE_BUSY: ("the database is busy", "wait for the other process to finish, then run again"),
        sqlite3.SQLITE_CANTOPEN: ("the database cannot be opened", "check the folder's permissions"),
        sqlite3.SQLITE_READONLY: ("the database cannot be written", "make the file and its folder writable"),
        sqlite3.SQLITE_NOTADB: ("the file is not a database", "move it away, or restore a backup"),
        sqlite3.SQLITE_CORRUPT: ("the database is damaged", "restore a backup"),
        sqlite3.SQLITE_IOERR: ("the disk failed under the database", "check the disk, then run again"),
    }
    if code not in texts:
        return None
    what, mend = texts[code]
    return StorageError(what, where=place, found=str(error), mend=mend)
