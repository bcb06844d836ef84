"""API keys: made, checked, rotated and revoked. A key belongs to a name, and its roles say what it opens.

A key reads `fta_<key id>_<secret>`. The secret is 256 random bits, so a plain SHA-256 keeps it: nobody guesses one, and
there is nothing that a slow hash would protect. Several keys may bear one name; they are one person or program.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, get_args

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from finetune_assets.storage.clock import utc_now
from finetune_assets.storage.database import Database
from finetune_assets.storage.errors import StorageError
from finetune_assets.storage.key_models import ApiKeyRow

Role = Literal["predict", "feedback", "approve", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)
"""What a key may open; none implies another."""

PREFIX = "fta"
USE_STEP_S = 60
"""Seconds between two notes of a key's last use; a shorter time says nothing more to a person."""

_ID_BYTES = 6
_SECRET_BYTES = 32
_KEY = re.compile(rf"{PREFIX}_([0-9a-f]{{{2 * _ID_BYTES}}})_([A-Za-z0-9_-]{{43}})")
_NAME = re.compile(r"[a-z0-9._@-]{1,80}")
_NOBODY = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks.

    Attributes:
        name: the key's name, "" for a caller without a key.
        roles: what the caller may do.
        key_id: the key, "" for a caller on loopback without a key.
    """

    name: str
    roles: frozenset[Role]
    key_id: str


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """A key as it may be shown: without its secret.

    Attributes:
        key_id: its id, the second part of the key.
        name: whose it is.
        roles: what it opens, in the order of `ROLES`.
        created_at: when it was made.
        created_by: by whom.
        expires_at: from when on it opens nothing; None for never.
        revoked_at: when it was revoked, None while it was not.
        revoked_by: by whom, "" while it was not.
        replaces: the key whose place it took, "" for none.
        last_used_at: when it was last used, to about a minute; None for never.
    """

    key_id: str
    name: str
    roles: tuple[Role, ...]
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    revoked_at: datetime | None
    revoked_by: str
    replaces: str
    last_used_at: datetime | None

    def state(self, at: datetime | None = None) -> Literal["valid", "expired", "revoked"]:
        """Return where the key stands at a moment, which is now unless given."""
        if self.revoked_at is not None:
            return "revoked"
        if self.expires_at is not None and self.expires_at <= (at or utc_now()):
            return "expired"
        return "valid"

    @property
    def caller(self) -> Caller:
        """Who asks with this key."""
        return Caller(self.name, frozenset(self.roles), self.key_id)


@dataclass(frozen=True, slots=True)
class KnownKeys:
    """All keys that are not revoked, as they stood at one moment: what a gateway checks against.

    Attributes:
        keys: by key id, each with the digest of its secret.
    """

    keys: Mapping[str, tuple[KeyRecord, str]]

    def check(self, key: str, at: datetime | None = None) -> Caller | None:
        """Return who asks with a key; None for one that is unknown, revoked or expired.

        The digests are compared in constant time, and an unknown id costs the same comparison.

        Args:
            key: the whole key, as it was sent.
            at: now, for tests.
        """
        match = _KEY.fullmatch(key)
        key_id, secret = match.groups() if match else ("", "")
        record, digest = self.keys.get(key_id, (None, _NOBODY))
        same = hmac.compare_digest(_digest(secret), digest)
        # The digest of "" is `_NOBODY`, so equality alone would let the empty secret in.
        if not same or record is None or record.state(at) != "valid":
            return None
        return record.caller


class KeyBook:
    """The keys of one installation.

    Args:
        db: the platform's database.
    """

    def __init__(self, db: Database) -> None:
        self._db = db

    def create(
        self,
        name: str,
        roles: Collection[str],
        expires: datetime | None = None,
        by: str = "",
        *,
        at: datetime | None = None,
    ) -> tuple[str, KeyRecord]:
        """Make a key.

        Args:
            name: whose it is: 1 to 80 of a-z, 0-9 and `._@-`. Decisions are recorded under it.
            roles: what it opens, at least one of `ROLES`.
            expires: from when on it opens nothing; None for never.
            by: who makes it.
            at: now, for tests.

        Returns:
            The whole key, which nobody can read again later, and its record.

        Raises:
            StorageError: for a name, a role or a time that cannot be.
        """
        now = at or utc_now()
        _check_name(name)
        chosen = _checked(roles)
        if expires is not None and expires <= now:
            raise StorageError("the key would have expired already", found=expires.isoformat(), mend="give a later day")
        with self._db.session() as session:
            return _make(session, name, chosen, expires, by, now, replaces="")

    def check(self, key: str, *, at: datetime | None = None) -> Caller | None:
        """Return who asks with a key; None for one that is unknown, revoked or expired."""
        return self.known().check(key, at)

    def known(self) -> KnownKeys:
        """Return all keys that are not revoked, in one query."""
        with self._db.reading() as session:
            rows = session.scalars(select(ApiKeyRow).where(ApiKeyRow.revoked_at.is_(None)))
            return KnownKeys({row.key_id: (_record(row), row.secret_digest) for row in rows})

    def list(self) -> tuple[KeyRecord, ...]:
        """Return every key that was ever made, oldest first."""
        with self._db.reading() as session:
            rows = session.scalars(select(ApiKeyRow).order_by(ApiKeyRow.created_at, ApiKeyRow.key_id))
            return tuple(_record(row) for row in rows)

    def rotate(
        self, key_id: str, overlap_h: float = 0.0, by: str = "", *, at: datetime | None = None
    ) -> tuple[str, KeyRecord]:
        """Give a key a successor of the same name and roles.

        The successor holds for as long as the old key was made for, counted from now. The old one ends after the
        overlap, or at its own time where that is earlier.

        Args:
            key_id: the key's id.
            overlap_h: hours for which the old key stays valid; 0 ends it at once.
            by: who does it.
            at: now, for tests.

        Returns:
            The new key, which nobody can read again later, and its record.

        Raises:
            StorageError: when there is no such key, or it is not valid, or has a successor already.
        """
        now = at or utc_now()
        if not 0 <= overlap_h <= 24 * 366:
            raise StorageError("the overlap cannot be", found=f"{overlap_h:g} hours", expected="0 to 8784 hours")
        with self._db.session() as session:
            row = _find(session, key_id)
            state = _record(row).state(now)
            if state != "valid":
                raise StorageError("the key cannot be rotated", where=key_id, found=state, mend="make a new one")
            successor = session.scalars(select(ApiKeyRow.key_id).where(ApiKeyRow.replaces == key_id)).first()
            if successor is not None:
                raise StorageError(
                    "the key was rotated already", where=key_id, found=successor, mend=f"rotate {successor}"
                )
            expires = None if row.expires_at is None else now + (row.expires_at - row.created_at)
            made = _make(session, row.name, _checked(row.roles), expires, by, now, replaces=key_id)
            end = now + timedelta(hours=overlap_h)
            row.expires_at = end if row.expires_at is None else min(end, row.expires_at)
            return made

    def revoke(self, key_id: str, by: str = "", *, at: datetime | None = None) -> KeyRecord:
        """End a key now; said again, it changes nothing.

        Raises:
            StorageError: when there is no such key.
        """
        with self._db.session() as session:
            row = _find(session, key_id)
            if row.revoked_at is None:
                row.revoked_at, row.revoked_by = at or utc_now(), by or "unknown"
            return _record(row)

    def note_use(self, used: Mapping[str, datetime]) -> None:
        """Write down when keys were last used; an earlier moment than the one that stands there is left out.

        Args:
            used: moments by key id.
        """
        with self._db.session() as session:
            for key_id, moment in sorted(used.items()):
                older = or_(ApiKeyRow.last_used_at.is_(None), ApiKeyRow.last_used_at < moment)
                session.execute(update(ApiKeyRow).where(ApiKeyRow.key_id == key_id, older).values(last_used_at=moment))


def _make(
    session: Session,
    name: str,
    roles: tuple[Role, ...],
    expires: datetime | None,
    by: str,
    now: datetime,
    replaces: str,
) -> tuple[str, KeyRecord]:
    secret = secrets.token_urlsafe(_SECRET_BYTES)
    row = ApiKeyRow(
        key_id=secrets.token_hex(_ID_BYTES),
        name=name,
        roles=list(roles),
        secret_digest=_digest(secret),
        created_at=now,
        created_by=by,
        expires_at=expires,
        revoked_at=None,
        revoked_by="",
        replaces=replaces,
        last_used_at=None,
    )
    session.add(row)
    session.flush()
    return f"{PREFIX}_{row.key_id}_{secret}", _record(row)


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        # What was given may be a key that slipped into the wrong place, so it is not repeated.
        raise StorageError("the key's name cannot be", expected="1 to 80 of a-z, 0-9 and . _ @ -")


def _checked(roles: Collection[str]) -> tuple[Role, ...]:
    unknown = sorted(set(roles) - set(ROLES))
    if unknown or not roles:
        raise StorageError(
            "the key's roles cannot be", found=", ".join(unknown) or "none", expected=f"some of {', '.join(ROLES)}"
        )
    return tuple(role for role in ROLES if role in roles)


def _find(session: Session, key_id: str) -> ApiKeyRow:
    # Locked, so that of two who rotate a key at once one finds the other's successor.
    row = session.get(ApiKeyRow, key_id, with_for_update=True)
    if row is None:
        # A whole key given for its id must not end up in a terminal's log.
        raise StorageError("there is no such key", mend="see `finetune keys list`; the id is the key's second part")
    return row


def _record(row: ApiKeyRow) -> KeyRecord:
    return KeyRecord(
        key_id=row.key_id,
        name=row.name,
        # A newer program may know roles that this one does not; they open nothing here.
        roles=tuple(role for role in ROLES if role in row.roles),
        created_at=row.created_at,
        created_by=row.created_by,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        revoked_by=row.revoked_by,
        replaces=row.replaces,
        last_used_at=row.last_used_at,
    )


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
