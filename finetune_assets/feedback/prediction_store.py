"""The file of predictions: appended in groups, read by window, pruned by age, forgotten by person.

It is an SQLite file of its own, for another writer's large transaction would hold answers up. Every commit is synced to
the disk before it returns. Sums are conserved: what is pruned stays counted, what is forgotten stays a row.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import orjson

from finetune_assets.feedback.prediction_rows import (
    COLUMNS,
    FILL_TALLY,
    INSERT,
    SCHEMA,
    micros,
    moment_of,
    prediction_of,
    row_of,
)
from finetune_assets.feedback.prediction_windows import WindowFacts, labels_in, window_facts
from finetune_assets.feedback.predictions import Prediction
from finetune_assets.records.errors import FinetuneError
from finetune_assets.storage.errors import StorageError
from finetune_assets.storage.files import disk_full, explain_unwritable

FILE_NAME = "predictions.db"
STEP_ROWS: Final = 1_000
"""Most rows that one transaction of pruning or forgetting touches."""

_VERSION = 2
_BUSY_TIMEOUT_S = 10.0


class PredictionStore:
    """One file of predictions; each method may be called from any thread and process.

    Args:
        path: the file; its folder is made.

    Raises:
        StorageError: when it cannot be made, is damaged, or was written by a newer version of this program.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with explain_unwritable(path):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self.connected() as connection:
            self._prepare(connection)

    def connect(self) -> sqlite3.Connection:
        """Open a connection whose commits are synced and whose deleted texts are overwritten."""
        connection = sqlite3.connect(
            self.path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False, cached_statements=64
        )
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA secure_delete=ON")
        return connection

    @contextmanager
    def connected(self) -> Iterator[sqlite3.Connection]:
        """Give a connection of its own and explain what fails on it.

        Raises:
            StorageError: when the disk is full, the file is locked for too long, damaged or out of reach.
        """
        with self.explained():
            connection = self.connect()
            try:
                yield connection
            finally:
                connection.close()

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Turn the machine's errors into one line each; errors of the program keep their traceback."""
        try:
            yield
        except (sqlite3.OperationalError, sqlite3.DatabaseError) as error:
            if isinstance(error, sqlite3.IntegrityError | sqlite3.ProgrammingError):
                raise
            if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_ERROR:
                raise  # a statement that is wrong
            raise self._explain(error) from error

    def append(self, predictions: Sequence[Prediction], connection: sqlite3.Connection | None = None) -> list[int]:
        """Write predictions in one synced transaction; what is there already with equal content stays as it is.

        Args:
            predictions: any number of them.
            connection: one of `connect`, for a writer that keeps it; None opens one.

        Returns:
            Positions of those whose request id stands in the file with another content; they were not written.

        Raises:
            StorageError: when nothing was written.
        """
        rows = [row_of(prediction) for prediction in predictions]
        if connection is None:
            with self.connected() as opened:
                return self._append(opened, rows)
        with self.explained():
            return self._append(connection, rows)

    def find(self, request_id: str) -> Prediction | None:
        """Return the prediction of a request, None when it is unknown or pruned."""
        with self.connected() as connection:
            query = f"SELECT {', '.join(COLUMNS)} FROM predictions WHERE request_id = ?"  # noqa: S608 - our own names
            row = connection.execute(query, (request_id,)).fetchone()
        return None if row is None else prediction_of(row)

    def facts(self, task: str, since: datetime, until: datetime) -> WindowFacts:
        """Return what a window holds; the same rows give the same facts in whatever order they came.

        Args:
            task: the task.
            since: where it begins, included; aware.
            until: where it ends, not included; aware.
        """
        with self.connected() as connection:
            connection.execute("BEGIN")
            return window_facts(connection, task, micros(since), micros(until))

    def count(self, task: str, since: datetime, until: datetime) -> int:
        """Return how many answers a window holds."""
        with self.connected() as connection:
            connection.execute("BEGIN")
            return labels_in(connection, task, micros(since), micros(until)).total()

    def totals(self, task: str) -> dict[str, int]:
        """Return how many predictions of a task are `kept`, how many of those `forgotten`, and how many `pruned`."""
        with self.connected() as connection:
            connection.execute("BEGIN")
            kept, forgotten = connection.execute(
                "SELECT COUNT(*), COALESCE(SUM(forgotten), 0) FROM predictions WHERE task = ?", (task,)
            ).fetchone()
            query = "SELECT COALESCE(SUM(predictions), 0) FROM pruned WHERE task = ?"
            pruned = connection.execute(query, (task,)).fetchone()[0]
        return {"kept": int(kept), "forgotten": int(forgotten), "pruned": int(pruned)}

    def horizon(self, task: str) -> datetime | None:
        """Return the moment before which predictions may have been pruned; None when none ever were."""
        with self.connected() as connection:
            found = connection.execute("SELECT MAX(before) FROM pruned WHERE task = ?", (task,)).fetchone()[0]
        return None if found is None else moment_of(found)

    def doubted(self, task: str, min_score: float, limit: int) -> list[tuple[int, Prediction]]:
        """Return the next predictions, by the order of writing, that the detector doubts and nobody reported yet.

        Args:
            task: the task.
            min_score: score from which on an answer is doubted; a score of 0 is never.
            limit: at most so many.

        Returns:
            Each with its number, for `remember_doubted`.
        """
        query = (
            f"SELECT id, {', '.join(COLUMNS)} FROM predictions WHERE task = ? AND score > 0 AND score >= ? AND id > "  # noqa: S608
            "COALESCE((SELECT up_to FROM doubted WHERE task = ?), 0) ORDER BY id LIMIT ?"
        )
        with self.connected() as connection:
            rows = connection.execute(query, (task, min_score, task, limit)).fetchall()
        return [(row[0], prediction_of(row[1:])) for row in rows]

    def remember_doubted(self, task: str, number: int) -> None:
        """Remember that all doubted predictions up to a number were reported; a lower number changes nothing."""
        with self.connected() as connection, self._writing(connection):
            connection.execute(
                "INSERT INTO doubted (task, up_to) VALUES (?, ?) "
                "ON CONFLICT (task) DO UPDATE SET up_to = MAX(up_to, excluded.up_to)",
                (task, number),
            )

    def prune(self, task: str, now: datetime, retention_days: int) -> int:
        """Delete the records that are older than the task keeps them, in steps of at most 1,000; they stay counted.

        Args:
            task: the task.
            now: the present moment; aware.
            retention_days: at least 1.

        Returns:
            How many were deleted now.
        """
        if retention_days < 1:
            raise FinetuneError("records are kept for at least a day", found=str(retention_days))
        before = micros(now - timedelta(days=retention_days))
        deleted = 0
        with self.connected() as connection:
            while step := self._prune_step(connection, task, before):
                deleted += step
            if deleted:
                _empty_log(connection)
        return deleted

    def forget(self, subject: str) -> int:
        """Delete the texts of every prediction about a person; their counts and digests stay.

        Args:
            subject: the person's pseudonym.

        Returns:
            How many records held something of the person until now; 0 the second time.
        """
        if not subject:
            return 0
        forgotten = 0
        with self.connected() as connection:
            while step := self._forget_step(connection, subject):
                forgotten += step
            # Also when nothing is left to do: a killed process may have emptied the rows and not the log.
            _empty_log(connection)
        return forgotten

    def begin(self, connection: sqlite3.Connection) -> None:
        """Begin a writing transaction."""
        connection.execute("BEGIN IMMEDIATE")

    def commit(self, connection: sqlite3.Connection) -> None:
        """Commit it; it is on the disk when this returns."""
        connection.execute("COMMIT")

    @contextmanager
    def _writing(self, connection: sqlite3.Connection) -> Iterator[None]:
        self.begin(connection)
        try:
            yield
            self.commit(connection)
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def _append(self, connection: sqlite3.Connection, rows: Sequence[tuple[Any, ...]]) -> list[int]:
        with self._writing(connection):
            # Not `total_changes`, which counts what the triggers do as well.
            written = connection.executemany(INSERT, rows).rowcount if rows else 0
            return [] if written == len(rows) else _conflicts(connection, rows)

    def _prune_step(self, connection: sqlite3.Connection, task: str, before: int) -> int:
        with self._writing(connection):
            removed = connection.execute(
                "DELETE FROM predictions WHERE id IN (SELECT id FROM predictions WHERE task = ? AND at < ? LIMIT ?)",
                (task, before, STEP_ROWS),
            ).rowcount
            if removed:
                connection.execute(
                    "INSERT INTO pruned (task, before, predictions) VALUES (?, ?, ?)", (task, before, removed)
                )
        return removed

    def _forget_step(self, connection: sqlite3.Connection, subject: str) -> int:
        with self._writing(connection):
            return connection.execute(
                "UPDATE predictions SET input = NULL, answer = NULL, subject = '', forgotten = 1 WHERE id IN "
                "(SELECT id FROM predictions WHERE subject = ? LIMIT ?)",
                (subject, STEP_ROWS),
            ).rowcount

    def _prepare(self, connection: sqlite3.Connection) -> None:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version == _VERSION:
            return
        if version > _VERSION:
            raise StorageError(
                "the file of predictions is newer than this program",
                where=str(self.path),
                mend="install the version of finetune_assets that wrote it, or a newer one",
            )
        connection.execute("PRAGMA journal_mode=WAL")
        with self._writing(connection):
            for statement in (*SCHEMA, *(FILL_TALLY if version else ())):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version={_VERSION}")

    def _explain(self, error: sqlite3.Error) -> StorageError:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_FULL:
            return disk_full(self.path)
        what = {
            sqlite3.SQLITE_BUSY: "the file of predictions is busy",
            sqlite3.SQLITE_CORRUPT: "the file of predictions is damaged",
            sqlite3.SQLITE_NOTADB: "the file of predictions is no database",
            sqlite3.SQLITE_READONLY: "the file of predictions cannot be written",
            sqlite3.SQLITE_CANTOPEN: "the file of predictions cannot be opened",
        }.get(code, "the file of predictions failed")
        return StorageError(what, where=str(self.path), found=str(error), mend="check the disk and the file's rights")


def _conflicts(connection: sqlite3.Connection, rows: Sequence[tuple[Any, ...]]) -> list[int]:
    """Return the positions of rows that are not in the file as they are."""
    query = f"SELECT {', '.join(COLUMNS)} FROM predictions WHERE request_id = ?"  # noqa: S608 - our own names
    place = COLUMNS.index("request_id")
    return [
        position
        for position, row in enumerate(rows)
        if orjson.dumps(connection.execute(query, (row[place],)).fetchone()) != orjson.dumps(row)
    ]


def _empty_log(connection: sqlite3.Connection) -> None:
    """Move the write-ahead log into the file and cut it, so that deleted texts do not live on in it."""
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
