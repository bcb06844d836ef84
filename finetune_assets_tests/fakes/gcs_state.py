"""What the Cloud Storage stand-in keeps: buckets, objects, their bytes; durable before it is acknowledged.

Metadata is in SQLite with `synchronous=FULL`, bytes are in files that are synced before the row that names them is
committed. There is one generation of each object: an older one is gone when it is overwritten (no versioning).
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import sqlite3
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import google_crc32c

BLOCK = 1 << 20
_SCHEMA = """
CREATE TABLE IF NOT EXISTS buckets (name TEXT PRIMARY KEY, resource TEXT NOT NULL, policy TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS objects (
  bucket TEXT, name TEXT, resource TEXT NOT NULL, file TEXT NOT NULL, PRIMARY KEY (bucket, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS uploads (
  id TEXT PRIMARY KEY, bucket TEXT, name TEXT, resource TEXT, conditions TEXT, file TEXT, done TEXT);
CREATE TABLE IF NOT EXISTS parts (
  upload TEXT, number INTEGER, file TEXT, etag TEXT, PRIMARY KEY (upload, number));
CREATE TABLE IF NOT EXISTS counter (id INTEGER PRIMARY KEY CHECK (id = 1), value INTEGER NOT NULL);
"""
_KEPT = ("contentType", "contentEncoding", "contentLanguage", "contentDisposition", "cacheControl", "customTime")
_PATCHABLE = {*_KEPT, "metadata", "temporaryHold", "eventBasedHold", "storageClass"}


class ApiError(Exception):
    """An answer that is not a success, in Google's words."""

    def __init__(self, status: int, message: str, reason: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.reason = reason

    def body(self) -> dict[str, Any]:
        detail = {"message": self.message, "domain": "global", "reason": self.reason}
        return {"error": {"code": self.status, "message": self.message, "errors": [detail]}}


@dataclass(frozen=True)
class Checksums:
    """Size, and crc32c and md5 in base64 as Google writes them."""

    size: int
    crc32c: str
    md5: str


def checksums(path: Path) -> Checksums:
    md5, crc, size = hashlib.md5(), google_crc32c.Checksum(), 0
    with path.open("rb") as stream:
        while block := stream.read(BLOCK):
            md5.update(block)
            crc.update(block)
            size += len(block)
    return Checksums(size, base64.b64encode(crc.digest()).decode(), base64.b64encode(md5.digest()).decode())


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def not_found(what: str) -> ApiError:
    return ApiError(404, what, "notFound")


def precondition_failed() -> ApiError:
    return ApiError(412, "At least one of the pre-conditions you specified did not hold.", "conditionNotMet")


def check_conditions(query: Mapping[str, str], resource: Mapping[str, Any] | None, *, reading: bool = False) -> None:
    """Apply `ifGenerationMatch` and its three brothers; a missing object has generation 0."""
    generation = str(resource["generation"]) if resource else "0"
    metageneration = str(resource["metageneration"]) if resource else "0"
    for name, current in (("Generation", generation), ("Metageneration", metageneration)):
        wanted, unwanted = query.get(f"if{name}Match"), query.get(f"if{name}NotMatch")
        if name == "Metageneration" and unwanted is None:
            unwanted = query.get("ifMetaGenerationNotMatch")  # so spelt by the client's uploads
        if wanted is not None and wanted != current:
            raise precondition_failed()
        if unwanted is not None and unwanted == current:
            raise ApiError(304, "Not Modified", "notModified") if reading else precondition_failed()


class GcsState:
    """All that one server keeps, below `root`."""

    def __init__(self, root: Path) -> None:
        self.data = root / "data"
        self.data.mkdir(parents=True, exist_ok=True)
        self.lock = threading.RLock()
        self._database = sqlite3.connect(root / "gcs.db", check_same_thread=False, isolation_level=None)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=FULL")
        self._database.executescript(_SCHEMA)

    def close(self) -> None:
        with self.lock:
            self._database.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        with self.lock:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")

    def rows(self, sql: str, *values: Any) -> list[Any]:
        with self.lock:
            return self._database.execute(sql, values).fetchall()

    # Bytes.

    def new_file(self) -> str:
        return uuid.uuid4().hex

    def keep(self, data: bytes) -> str:
        """Write bytes to a new file, synced, and return its name."""
        name = self.new_file()
        with (self.data / name).open("xb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        return name

    def drop(self, *names: str) -> None:
        for name in names:
            (self.data / name).unlink(missing_ok=True)

    # Buckets.

    def create_bucket(self, resource: dict[str, Any], project: str) -> dict[str, Any]:
        name = resource.get("name", "")
        if not 3 <= len(name) <= 222:
            raise ApiError(400, f"Invalid bucket name: '{name}'", "invalid")
        stamp = now()
        full = {
            **resource,
            "kind": "storage#bucket",
            "id": name,
            "projectNumber": "123456789",
            "project": project,
            "location": resource.get("location", "US").upper(),
            "locationType": "multi-region" if resource.get("location", "US").upper() in {"US", "EU"} else "region",
            "storageClass": resource.get("storageClass", "STANDARD"),
            "metageneration": "1",
            "etag": "CAE=",
            "timeCreated": stamp,
            "updated": stamp,
            "iamConfiguration": resource.get("iamConfiguration", {"uniformBucketLevelAccess": {"enabled": True}}),
        }
        policy = {"kind": "storage#policy", "version": 1, "etag": "CAE=", "bindings": []}
        with self.transaction() as database:
            if database.execute("SELECT 1 FROM buckets WHERE name = ?", (name,)).fetchone():
                raise ApiError(
                    409,
                    "Your previous request to create the named bucket succeeded.",
                    "conflict",
                )
            database.execute("INSERT INTO buckets VALUES (?, ?, ?)", (name, json.dumps(full), json.dumps(policy)))
        return full

    def bucket(self, name: str) -> dict[str, Any]:
        found = self.rows("SELECT resource FROM buckets WHERE name = ?", name)
        if not found:
            raise not_found("The specified bucket does not exist.")
        return dict(json.loads(found[0][0]))

    def buckets(self) -> list[dict[str, Any]]:
        return [json.loads(row[0]) for row in self.rows("SELECT resource FROM buckets ORDER BY name")]

    def patch_bucket(self, name: str, changes: dict[str, Any]) -> dict[str, Any]:
        resource = self.bucket(name)
        resource = {**resource, **changes, "metageneration": str(int(resource["metageneration"]) + 1), "updated": now()}
        with self.transaction() as database:
            database.execute("UPDATE buckets SET resource = ? WHERE name = ?", (json.dumps(resource), name))
        return resource

    def delete_bucket(self, name: str) -> None:
        self.bucket(name)
        if self.rows("SELECT 1 FROM objects WHERE bucket = ? LIMIT 1", name):
            raise ApiError(409, "The bucket you tried to delete is not empty.", "conflict")
        with self.transaction() as database:
            database.execute("DELETE FROM buckets WHERE name = ?", (name,))

    def policy(self, name: str, replacement: dict[str, Any] | None = None) -> dict[str, Any]:
        self.bucket(name)
        if replacement is not None:
            with self.transaction() as database:
                database.execute("UPDATE buckets SET policy = ? WHERE name = ?", (json.dumps(replacement), name))
        return dict(json.loads(self.rows("SELECT policy FROM buckets WHERE name = ?", name)[0][0]))

    # Objects.

    def find(self, bucket: str, name: str) -> tuple[dict[str, Any], Path] | None:
        found = self.rows("SELECT resource, file FROM objects WHERE bucket = ? AND name = ?", bucket, name)
        return (json.loads(found[0][0]), self.data / found[0][1]) if found else None

    def get(self, bucket: str, name: str, query: Mapping[str, str]) -> tuple[dict[str, Any], Path]:
        self.bucket(bucket)
        found = self.find(bucket, name)
        asked = query.get("generation")
        if found is None or (asked and asked != found[0]["generation"]):
            raise not_found(f"No such object: {bucket}/{name}")
        check_conditions(query, found[0], reading=True)
        return found

    def list(self, bucket: str, prefix: str, start: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield (name, resource) from `start` on, in the order of the names' UTF-8 bytes."""
        self.bucket(bucket)
        rows = self.rows(
            "SELECT name, resource FROM objects WHERE bucket = ? AND name >= ?", bucket, max(prefix, start)
        )
        rows.sort(key=lambda row: row[0].encode())
        yield from ((name, json.loads(resource)) for name, resource in rows if name.startswith(prefix))

    def commit(
        self,
        bucket: str,
        metadata: Mapping[str, Any],
        file: str,
        query: Mapping[str, str],
        *,
        components: int | None = None,
        upload: str | None = None,
    ) -> dict[str, Any]:
        """Let an object appear whose bytes are synced in `file`.

        Args:
            bucket: its bucket.
            metadata: what the client said of it, with its `name`; `crc32c` and `md5Hash` are held against the bytes.
            file: name of the file below `data`.
            query: preconditions.
            components: for a composed object, of how many; it then has no md5.
            upload: the resumable upload that this ends.
        """
        found = checksums(self.data / file)
        name = metadata["name"]
        for field_name, value in (("crc32c", found.crc32c), ("md5Hash", found.md5)):
            said = metadata.get(field_name)
            if said is not None and said != value:
                raise ApiError(
                    400, f'Provided {field_name} "{said}" doesn\'t match calculated {field_name} "{value}".', "invalid"
                )
        self.bucket(bucket)
        with self.transaction() as database:
            old = self.find(bucket, name)
            check_conditions(query, old[0] if old else None)
            _refuse_held(old)
            generation = _next_generation(database)
            stamp = now()
            resource = {
                "kind": "storage#object",
                "id": f"{bucket}/{name}/{generation}",
                "selfLink": f"/storage/v1/b/{bucket}/o/{name}",
                "bucket": bucket,
                "name": name,
                "generation": str(generation),
                "metageneration": "1",
                "storageClass": "STANDARD",
                "size": str(found.size),
                "crc32c": found.crc32c,
                "etag": base64.b64encode(f"{generation}/1".encode()).decode(),
                "timeCreated": stamp,
                "updated": stamp,
                **{key: metadata[key] for key in (*_KEPT, "metadata") if metadata.get(key) is not None},
            }
            resource.update({"md5Hash": found.md5} if components is None else {"componentCount": components})
            database.execute(
                "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?)", (bucket, name, json.dumps(resource), file)
            )
            if upload is not None:
                database.execute("UPDATE uploads SET done = ? WHERE id = ?", (json.dumps(resource), upload))
        if old:
            self.drop(old[1].name)
        return resource

    def patch(self, bucket: str, name: str, changes: dict[str, Any], query: Mapping[str, str]) -> dict[str, Any]:
        self.bucket(bucket)
        with self.transaction() as database:
            found = self.find(bucket, name)
            if found is None:
                raise not_found(f"No such object: {bucket}/{name}")
            check_conditions(query, found[0])
            resource = found[0]
            for key, value in changes.items():
                if key not in _PATCHABLE:
                    continue
                if key == "metadata" and isinstance(value, dict):
                    merged = {**resource.get("metadata", {}), **value}
                    value = {field_name: text for field_name, text in merged.items() if text is not None}
                resource[key] = value
            resource["metageneration"] = str(int(resource["metageneration"]) + 1)
            resource["updated"] = now()
            database.execute(
                "UPDATE objects SET resource = ? WHERE bucket = ? AND name = ?", (json.dumps(resource), bucket, name)
            )
        return resource

    def delete(self, bucket: str, name: str, query: Mapping[str, str]) -> None:
        self.bucket(bucket)
        with self.transaction() as database:
            found = self.find(bucket, name)
            asked = query.get("generation")
            if found is None or (asked and asked != found[0]["generation"]):
                raise not_found(f"No such object: {bucket}/{name}")
            check_conditions(query, found[0])
            _refuse_held(found)
            database.execute("DELETE FROM objects WHERE bucket = ? AND name = ?", (bucket, name))
        self.drop(found[1].name)


def _refuse_held(found: tuple[dict[str, Any], Path] | None) -> None:
    if found and (found[0].get("temporaryHold") or found[0].get("eventBasedHold")):
        raise ApiError(403, "Object is under active hold and cannot be deleted, overwritten or archived.", "forbidden")


def _next_generation(database: sqlite3.Connection) -> int:
    """Return a number of microseconds, as Google's are, that was never given before."""
    row = database.execute("SELECT value FROM counter").fetchone()
    value = max(int(time.time() * 1_000_000), (row[0] if row else 0) + 1)
    database.execute("INSERT OR REPLACE INTO counter VALUES (1, ?)", (value,))
    return value
