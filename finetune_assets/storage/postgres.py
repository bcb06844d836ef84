"""What PostgreSQL needs to keep the promises that SQLite keeps by itself, and its errors in one line.

One transaction writes at a time, by an advisory lock that each takes first. So what a transaction reads cannot change
before it writes, and rows become visible in the order of their numbers, which readers that go on "after number N" rely
on: a sequence alone hands out 7 and 8, and 8 may be committed first.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import URL, Connection, ExceptionContext
from sqlalchemy.exc import DBAPIError

from finetune_assets.storage.errors import StorageError

BACKEND = "postgresql"
_DRIVER = "psycopg"
# Any number that no other program in the same PostgreSQL database uses for an advisory lock.
_WRITERS = 7_046_020_911
# A writer that stands still in the middle of a transaction would hold up all others.
_IDLE_MS = 300_000
_CONNECTION: dict[str, Any] = {
    "application_name": "finetune",
    "connect_timeout": 10,  # seconds
    # A server that vanished without a word is noticed after about a minute.
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,  # milliseconds
}

_UNREACHABLE = ("the database cannot be reached", "start the database server, or correct the database URL")
_WRONG_PASSWORD = (
    "the database server does not let this user in",
    "correct user and password in the database URL",
)
_NO_DATABASE = (
    "the database does not exist on its server",
    "make it with `createdb`, or correct the name in the database URL",
)
_FULL = ("the database server has no connection left", "raise its max_connections, or run fewer gateways at once")
_STOPPING = ("the database server is starting or stopping", "wait a moment, then run again")
_LOCKED = ("the database is busy", "wait for the other process to finish, then run again")
# https://www.postgresql.org/docs/15/errcodes-appendix.html, read 2026-11-21
_BY_STATE = {
    "53100": ("the database server's disk is full", "free some space there"),
    "53200": ("the database server is out of memory", "give it more, or run fewer things beside it"),
    "53300": _FULL,
    "55P03": _LOCKED,
    "40001": _LOCKED,
    "40P01": _LOCKED,
    "57014": ("the database server ended the statement", "raise its statement_timeout, then run again"),
    "25P03": ("the transaction stood still for too long", "run again"),
    "57P01": _STOPPING,
    "57P02": _STOPPING,
    "57P03": _STOPPING,
    "28000": _WRONG_PASSWORD,
    "28P01": _WRONG_PASSWORD,
    "3D000": _NO_DATABASE,
    "42501": ("the database's user lacks a permission", "grant it, or let the database's owner do this once"),
    "25006": ("the database may only be read", "name the primary server in the database URL"),
    "58030": ("the disk failed under the database server", "check the disk there, then run again"),
    "XX001": ("the database is damaged", "restore a backup"),
    "XX002": ("an index of the database is damaged", "REINDEX it, or restore a backup"),
}
# A refused connection has no code, only the server's words; in another language they fall to "cannot be reached".
_BY_WORDS = (
    ("password authentication failed", _WRONG_PASSWORD),
    ("no password supplied", _WRONG_PASSWORD),
    ("no pg_hba.conf entry", _WRONG_PASSWORD),
    ("authentication failed for user", _WRONG_PASSWORD),
    ("permission denied for database", _WRONG_PASSWORD),
    ("too many clients", _FULL),
    ("remaining connection slots", _FULL),
    ("too many connections", _FULL),
    ("the database system is", _STOPPING),
    ("invalid connection option", ("the database URL has an option that is not known", "take it out")),
)


def check_url(url: URL) -> None:
    """Refuse a URL that names another driver than the one that this program knows.

    Raises:
        StorageError: without the URL's password.
    """
    if url.drivername not in (BACKEND, f"{BACKEND}+{_DRIVER}"):
        raise StorageError(
            "the database URL names a driver that is not used here",
            where=url.render_as_string(hide_password=True),
            found=url.drivername,
            expected="postgresql+psycopg://USER@HOST/NAME, or sqlite:///PATH",
            mend="correct FINETUNE_DATABASE_URL",
        )


def engine_options(url: URL) -> dict[str, Any]:
    """Return what `create_engine` is given; options of the URL itself win."""
    named = {name: value for name, value in _CONNECTION.items() if name not in url.query}
    return {
        "connect_args": named,
        # A server that was restarted between two transactions is noticed before the next begins.
        "pool_pre_ping": True,
        # Each statement after the writers' lock must see what the writer before committed, whatever the server says.
        "isolation_level": "READ COMMITTED",
    }


def begin_writing(connection: Connection, patience_s: float) -> None:
    """Wait until no other transaction writes; the lock ends with the transaction.

    Args:
        connection: at the beginning of a transaction.
        patience_s: seconds to wait for other writers, and for a lock of any other kind.
    """
    connection.exec_driver_sql(
        f"SELECT set_config('lock_timeout', '{int(patience_s * 1000)}', true), "
        f"set_config('idle_in_transaction_session_timeout', '{_IDLE_MS}', true)"
    )
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITERS})")


def leave_out_rows(context: ExceptionContext) -> None:
    """Take the detail out of an error: it quotes whole rows, and rows hold texts of people."""
    original: Any = context.original_exception
    detail = getattr(getattr(original, "diag", None), "message_detail", None)
    if detail is None:
        return
    primary = original.diag.message_primary or "error"
    original.args = (primary,)
    wrapped = context.sqlalchemy_exception
    if wrapped is not None:
        wrapped.args = (f"({type(original).__module__}.{type(original).__name__}) {primary}",)


def explain_postgres(error: DBAPIError, place: str, password: str) -> StorageError | None:
    """Return the one line for an error of the machine or the server; None for an error of the program.

    Args:
        error: what the driver said.
        place: the database for people.
        password: taken out of what the driver said.
    """
    original: Any = error.orig
    state = getattr(original, "sqlstate", None)
    found = str(original).replace(password, "***") if password else str(original)
    if state is None:
        what, mend = _unnamed(found)
        if (what, mend) == _UNREACHABLE and not _is_of_the_machine(error):
            return None
    elif state in _BY_STATE:
        what, mend = _BY_STATE[state]
    elif error.connection_invalidated or state.startswith("08"):
        what, mend = _UNREACHABLE
    else:
        return None
    return StorageError(what, where=place, found=found, mend=mend)


def _unnamed(text: str) -> tuple[str, str]:
    for words, told in _BY_WORDS:
        if words in text:
            return told
    if "does not exist" in text and "FATAL" in text:
        return _WRONG_PASSWORD if "role " in text else _NO_DATABASE
    return _UNREACHABLE


def _is_of_the_machine(error: DBAPIError) -> bool:
    return error.connection_invalidated or type(error.orig).__name__ in ("OperationalError", "ConnectionTimeout")
