"""API keys: shown once, kept as a hash, and good for exactly what and as long as they were made for."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import text

from finetune_assets.storage.api_keys import ROLES, KeyBook
from finetune_assets.storage.clock import utc_now
from finetune_assets.storage.database import Database
from finetune_assets.storage.errors import StorageError

HOUR = timedelta(hours=1)


@pytest.fixture
def book(db: Database) -> KeyBook:
    return KeyBook(db)


def test_a_key_says_who_asks_and_what_for(book):
    key, record = book.create("ana@example.com", ["approve", "feedback"], by="root")
    caller = book.check(key)
    assert (caller.name, caller.roles, caller.key_id) == (
        "ana@example.com",
        frozenset({"feedback", "approve"}),
        record.key_id,
    )
    assert record.roles == ("feedback", "approve"), "in the order of the roles"
    assert key.startswith(f"fta_{record.key_id}_")


def test_the_secret_is_nowhere_in_the_database(book, db):
    key, record = book.create("ana", ["predict"])
    secret = key.removeprefix(f"fta_{record.key_id}_")
    with db.reading() as session:
        (row,) = session.execute(text("SELECT * FROM api_keys")).mappings().all()
    assert secret not in str(dict(row))
    assert len(row["secret_digest"]) == 64
    assert secret not in repr(record)


def test_only_the_very_key_opens(book):
    key, record = book.create("ana", ["predict"])
    other, _ = book.create("ana", ["admin"])
    stem, secret = key.rsplit("_", 1) if key.count("_") == 2 else (f"fta_{record.key_id}", key[17:])
    wrong = ["", "fta", "fta__", f"{stem}_", f"{key} ", f" {key}", key.upper(), key[:-1], f"{key}A", secret]
    wrong += [key.replace(record.key_id, "0" * 12), f"fta_{record.key_id}_{other[17:]}", key.replace("fta", "ftb")]
    wrong += [f"{stem}_{'é' * 43}", f"{key}\0", f"{key}\n", "x" * 100_000]
    assert [book.check(one) for one in wrong] == [None] * len(wrong)
    assert book.check(key).roles == {"predict"}


def test_it_ends_to_the_moment_and_a_revoked_one_never_comes_back(book):
    now = utc_now()
    key, record = book.create("ana", ["predict"], now + HOUR, at=now)
    assert book.check(key, at=now + HOUR - timedelta(microseconds=1))
    assert book.check(key, at=now + HOUR) is None
    first = book.revoke(record.key_id, by="root", at=now)
    assert book.revoke(record.key_id, by="eve").revoked_by == first.revoked_by == "root"
    assert book.check(key) is None
    assert [one.state() for one in book.list()] == ["revoked"]
    with pytest.raises(StorageError, match="cannot be rotated"):
        book.rotate(record.key_id)


@pytest.mark.parametrize("overlap_h", [0, 0.5, 5000])
def test_a_successor_takes_over_with_an_overlap(book, overlap_h):
    now = utc_now()
    old, record = book.create("ana", ["approve"], now + 100 * 24 * HOUR, at=now)
    later = now + 10 * 24 * HOUR
    new, successor = book.rotate(record.key_id, overlap_h, "root", at=later)
    assert (successor.name, successor.roles, successor.replaces) == ("ana", ("approve",), record.key_id)
    assert successor.expires_at == later + 100 * 24 * HOUR
    assert book.check(new, at=later).key_id == successor.key_id
    end = min(later + overlap_h * HOUR, record.expires_at)
    assert (book.check(old, at=later) is None) == (overlap_h == 0)
    assert book.check(old, at=end) is None
    with pytest.raises(StorageError, match=r"rotated already|cannot be rotated"):
        book.rotate(record.key_id, at=later)


@pytest.mark.parametrize("name", ["", "Ana", "a b", "a" * 81, "a:b", "ana\n", "é", "../x"])
def test_a_name_that_cannot_be_is_refused_and_not_repeated(book, name):
    with pytest.raises(StorageError) as refused:
        book.create(name, ["predict"])
    assert len(name) < 3 or name not in str(refused.value)


@pytest.mark.parametrize("roles", [[], ["root"], ["predict", "Admin"]])
def test_unknown_roles_and_none_are_refused(book, roles):
    with pytest.raises(StorageError, match="roles cannot be"):
        book.create("ana", roles)


def test_bad_times_and_ids_are_refused(book):
    with pytest.raises(StorageError, match="expired already"):
        book.create("ana", ["predict"], utc_now() - HOUR)
    key, record = book.create("ana", list(ROLES))
    for overlap in (-1, float("nan"), 1e9):
        with pytest.raises(StorageError, match="overlap"):
            book.rotate(record.key_id, overlap)
    for wrong in ("", "absent", key):
        with pytest.raises(StorageError, match="no such key") as refused:
            book.revoke(wrong)
        assert key not in str(refused.value), "a key given for its id is not repeated"


def test_the_last_use_only_grows(book):
    _, record = book.create("ana", ["predict"])
    now = utc_now()
    book.note_use({record.key_id: now, "absent": now})
    book.note_use({record.key_id: now - HOUR})
    assert [one.last_used_at for one in book.list()] == [now]


def test_a_role_of_a_newer_program_opens_nothing(book, db):
    key, _ = book.create("ana", ["predict"])
    with db.session() as session:
        session.execute(text("""UPDATE api_keys SET roles = '["predict", "owner"]'"""))
    assert book.check(key).roles == {"predict"}
