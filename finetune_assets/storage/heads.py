"""Dataset versions: each task has one head, it moves by compare-and-set, and every version before it is kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from finetune_assets.storage.clock import utc_now
from finetune_assets.storage.database import Database
from finetune_assets.storage.errors import StorageError
from finetune_assets.storage.models import DatasetRestoreRow, DatasetVersionRow


@dataclass(frozen=True, slots=True)
class Head:
    """A version of a task's dataset.

    Attributes:
        task: the task.
        namespace: the line of versions it belongs to; runs on a part of the data have their own.
        number: 1, 2, … within task and namespace.
        inputs_key: digest of what it was built from.
        artifact_key: its artifact.
        digest: its content digest.
        created_at: when it became head.
        restored_from: number of the version whose rows it has again; None for one that was built.
    """

    task: str
    namespace: str
    number: int
    inputs_key: str
    artifact_key: str
    digest: str
    created_at: datetime
    restored_from: int | None = None


@dataclass(frozen=True, slots=True)
class Restore:
    """What makes a version a restored one.

    Attributes:
        number: the version whose rows it has again.
        by: who asked for it.
    """

    number: int
    by: str


def current_head(db: Database, task: str, namespace: str) -> Head | None:
    """Return the newest version, or None before the first."""
    with db.reading() as session:
        row = _newest(session, task, namespace)
        return None if row is None else _head(row, _restored_from(session, row.id))


def version_history(db: Database, task: str, namespace: str) -> list[Head]:
    """Return every version, oldest first; the last one is the head."""
    query = (
        select(DatasetVersionRow, DatasetRestoreRow.restored_from)
        .outerjoin(DatasetRestoreRow, DatasetRestoreRow.version_id == DatasetVersionRow.id)
        .where(DatasetVersionRow.task == task, DatasetVersionRow.namespace == namespace)
        .order_by(DatasetVersionRow.number)
    )
    with db.reading() as session:
        return [_head(row, restored_from) for row, restored_from in session.execute(query)]


def namespaces(db: Database, task: str) -> list[tuple[str, int]]:
    """Return the namespaces in which a task has versions, with their number of versions; sorted by name."""
    query = (
        select(DatasetVersionRow.namespace, func.count())
        .where(DatasetVersionRow.task == task)
        .group_by(DatasetVersionRow.namespace)
    )
    with db.reading() as session:  # sorted here: a database server has its own order of letters
        return sorted((name, count) for name, count in session.execute(query))


def advance_head(
    db: Database,
    task: str,
    namespace: str,
    *,
    expected_number: int | None,
    inputs_key: str,
    artifact_key: str,
    digest: str,
    restore: Restore | None = None,
) -> Head:
    """Make a new version the head, provided that the head is still the one that it was built on.

    Args:
        db: the database.
        task: the task.
        namespace: the line of versions.
        expected_number: number of the head that was read before building; None when there was none.
        inputs_key: digest of what the version was built from.
        artifact_key: its artifact.
        digest: its content digest.
        restore: says that the version is an older one made head again; kept in the same transaction.

    Returns:
        The new head. When the head has these inputs and this digest already, that head, unchanged, whatever number was
        expected: a run that was killed after its move finds its own work here.

    Raises:
        StorageError: when another run moved the head meanwhile.
    """
    try:
        with db.session() as session:
            row = _newest(session, task, namespace)
            if row is not None and (row.inputs_key, row.digest) == (inputs_key, digest):
                return _head(row, _restored_from(session, row.id))
            number = None if row is None else row.number
            if number != expected_number:
                raise _moved(task, namespace, number, expected_number)
            new = DatasetVersionRow(
                task=task,
                namespace=namespace,
                number=(number or 0) + 1,
                inputs_key=inputs_key,
                artifact_key=artifact_key,
                digest=digest,
                created_at=utc_now(),
            )
            session.add(new)
            session.flush()
            if restore is not None:
                session.add(
                    DatasetRestoreRow(version_id=new.id, restored_from=restore.number, by=restore.by, at=new.created_at)
                )
            return _head(new, restore.number if restore else None)
    except IntegrityError as error:  # where transactions do not exclude each other, the unique number decides
        raise _moved(task, namespace, "a newer version", expected_number) from error


def _newest(session: Session, task: str, namespace: str) -> DatasetVersionRow | None:
    query = (
        select(DatasetVersionRow)
        .where(DatasetVersionRow.task == task, DatasetVersionRow.namespace == namespace)
        .order_by(DatasetVersionRow.number.desc())
        .limit(1)
    )
    return session.scalars(query).first()


def _restored_from(session: Session, version_id: int) -> int | None:
    query = select(DatasetRestoreRow.restored_from).where(DatasetRestoreRow.version_id == version_id)
    return session.scalars(query).first()


def _head(row: DatasetVersionRow, restored_from: int | None) -> Head:
    return Head(
        task=row.task,
        namespace=row.namespace,
        number=row.number,
        inputs_key=row.inputs_key,
        artifact_key=row.artifact_key,
        digest=row.digest,
        created_at=row.created_at,
        restored_from=restored_from,
    )


def _moved(task: str, namespace: str, found: int | str | None, expected: int | None) -> StorageError:
    return StorageError(
        "the dataset's head moved while this version was built",
        where=f"dataset {task}/{namespace}",
        found=str(found or "no version"),
        expected=str(expected or "no version"),
        mend="run again: the new version will build on the new head",
    )
