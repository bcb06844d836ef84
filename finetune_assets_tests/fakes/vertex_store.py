"""What the Vertex stand-in remembers: resources, clock, plans, faults and settings, in SQLite that survives kill -9.

Everything is committed (WAL, synchronous=FULL) before an answer leaves. Time is a virtual clock: virtual seconds run
`speed` times as fast as real ones, and a job's state is a function of the clock and of what is stored.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from finetune_assets_tests.fakes.vertex_wire import Json, dumps

SCHEMA = """
CREATE TABLE IF NOT EXISTS meta(key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS resources(
  name TEXT PRIMARY KEY, kind TEXT NOT NULL, parent TEXT NOT NULL, seq INTEGER NOT NULL, created REAL NOT NULL,
  created_v REAL NOT NULL, body TEXT NOT NULL, private TEXT NOT NULL, ended INTEGER NOT NULL, end_v REAL);
CREATE INDEX IF NOT EXISTS by_parent ON resources(kind, parent, seq);
CREATE INDEX IF NOT EXISTS alive ON resources(ended, kind, seq);
CREATE TABLE IF NOT EXISTS witness(
  seq INTEGER PRIMARY KEY, kind TEXT, name TEXT, display_name TEXT, labels TEXT, created REAL);
CREATE TABLE IF NOT EXISTS lessons(owner TEXT, idx INTEGER, prompt TEXT, answer TEXT, PRIMARY KEY(owner, idx));
CREATE TABLE IF NOT EXISTS faults(
  id INTEGER PRIMARY KEY, spec TEXT NOT NULL, seen INTEGER NOT NULL, hits INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS plans(id INTEGER PRIMARY KEY, spec TEXT NOT NULL);
"""
# What a test may set: POST /__settings. See vertex.py for their meaning.
DEFAULT_SETTINGS: Json = {
    "tuning_quota": 1,
    "tuning_quota_rejects": False,
    "list_filter": True,
    "list_visibility_delay_s": 0.0,
    "check_dataset_at_create": False,
    "denied_models": [],
    "no_access_buckets": [],
    "projects": {},
    "project_numbers": {},
    "refused_tokens": ["expired"],
    "machine_quota": {},
    "images": None,
    "image_commands": {},
    "run_containers": False,
    "simulated_outputs": True,
    "open_models_set_tuned_model": True,
    "operation_seconds": {"deploy": 60.0, "undeploy": 10.0, "garden": 120.0},
    "seed": 0,
}


@dataclass
class Resource:
    """A stored resource: `body` is what clients see, `private` what the stand-in knows besides."""

    name: str
    kind: str
    parent: str
    body: Json
    private: Json = field(default_factory=dict)
    seq: int = 0
    created: float = 0.0
    created_v: float = 0.0
    ended: bool = False
    end_v: float | None = None


class Store:
    """The stand-in's durable memory. Every use holds `lock`; `transaction` commits at its end or rolls back."""

    def __init__(self, root: Path, speed: float, settings: Json) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.root = root
        self.lock = threading.RLock()
        self._moment: float | None = None
        # Resources that have not ended, decoded, by kind; and a count of the changes since the start.
        self._living: dict[str, dict[str, Resource]] = {}
        self.changes = 0
        self.log_path = root / "requests.jsonl"
        self.db = sqlite3.connect(root / "vertex.db", check_same_thread=False, isolation_level=None, timeout=30)
        self.db.execute("PRAGMA journal_mode=WAL")
        self.db.execute("PRAGMA synchronous=FULL")
        self.db.executescript(SCHEMA)
        if self._meta("clock") is None:
            self._set_meta("clock", [[time.time(), 0.0, speed]])
            self._set_meta("settings", {**DEFAULT_SETTINGS, **settings})
        self.clock: list[list[float]] = self._meta("clock")
        self.settings: Json = {**DEFAULT_SETTINGS, **self._meta("settings")}

    def close(self) -> None:
        """Close the database."""
        with self.lock:
            self.db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Hold the lock and commit at the end, or roll back on an error."""
        with self.lock:
            self.db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self.db.execute("ROLLBACK")
                self._living.clear()
                self.changes += 1
                raise
            self.db.execute("COMMIT")

    def _meta(self, key: str) -> Any:
        row = self.db.execute("SELECT value FROM meta WHERE key=?", (key,)).fetchone()
        return None if row is None else json.loads(row[0])

    def _set_meta(self, key: str, value: Any) -> None:
        self.db.execute(
            "INSERT INTO meta VALUES(?,?) ON CONFLICT(key) DO UPDATE SET value=excluded.value", (key, dumps(value))
        )

    # -- time

    def now(self) -> float:
        """Return virtual seconds since the stand-in's first start; one request sees one moment."""
        if self._moment is not None:
            return self._moment
        real, virtual, speed = self.clock[-1]
        return virtual + max(0.0, time.time() - real) * speed

    @contextmanager
    def one_moment(self) -> Iterator[None]:
        """Hold the lock and stop the clock, so that what one request settles and shows is of the same moment."""
        with self.lock:
            self._moment = self.now()
            try:
                yield
            finally:
                self._moment = None

    def real_of(self, virtual: float) -> float:
        """Return the Unix time at which the virtual clock showed `virtual` (or will, at today's speed)."""
        found = self.clock[0]
        for segment in self.clock:
            if segment[1] <= virtual:
                found = segment
        real, start, speed = found
        at = real + (virtual - start) / speed if speed else real
        later = [segment[0] for segment in self.clock if segment[0] > real]
        return min([at, *later])

    def set_clock(self, speed: float | None, advance: float) -> Json:
        """Change the speed, or jump `advance` virtual seconds ahead."""
        self._moment = None
        now = self.now()
        self.clock = [*self.clock, [time.time(), now + advance, self.clock[-1][2] if speed is None else float(speed)]]
        self._set_meta("clock", self.clock)
        self.changes += 1
        return {"speed": self.clock[-1][2], "now": self.clock[-1][1]}

    def set_settings(self, changes: Json) -> Json:
        """Change settings; unknown names are refused."""
        unknown = sorted(set(changes) - set(DEFAULT_SETTINGS))
        if unknown:
            raise ValueError(f"unknown settings {unknown}, known: {sorted(DEFAULT_SETTINGS)}")
        self.settings = {**self.settings, **changes}
        self._set_meta("settings", self.settings)
        self.changes += 1
        return self.settings

    # -- resources

    def next_seq(self) -> int:
        """Return a number that no other resource has."""
        number = (self._meta("seq") or 1_000_000) + 1
        self._set_meta("seq", number)
        return number

    def add(self, resource: Resource) -> Resource:
        """Store a new resource with the present time."""
        resource.seq = resource.seq or self.next_seq()
        resource.created, resource.created_v = time.time(), self.now()
        self._write(resource)
        return resource

    def _write(self, it: Resource) -> None:
        row = (it.name, it.kind, it.parent, it.seq, it.created, it.created_v)
        row = (*row, dumps(it.body), dumps(it.private), int(it.ended), it.end_v)
        self.db.execute("INSERT OR REPLACE INTO resources VALUES(?,?,?,?,?,?,?,?,?,?)", row)
        self.changes += 1
        living = self._living.get(it.kind)
        if living is not None and it.ended:
            living.pop(it.name, None)
        elif living is not None:
            living[it.name] = it

    def save(self, resource: Resource) -> None:
        """Store a changed resource."""
        self._write(resource)

    def get(self, name: str) -> Resource | None:
        """Return a resource by its full name."""
        row = self.db.execute("SELECT * FROM resources WHERE name=?", (name,)).fetchone()
        return None if row is None else self._resource(row)

    def drop(self, name: str) -> None:
        """Forget a resource; the witness of jobs keeps it."""
        self.db.execute("DELETE FROM resources WHERE name=?", (name,))
        self._living.clear()
        self.changes += 1

    def of_parent(self, kind: str, parent: str) -> list[Resource]:
        """Return the resources of a kind below a parent, newest first as the service lists them."""
        rows = self.db.execute("SELECT * FROM resources WHERE kind=? AND parent=? ORDER BY seq DESC", (kind, parent))
        return [self._resource(row) for row in rows.fetchall()]

    def of_kind(self, kind: str) -> list[Resource]:
        """Return every resource of a kind, oldest first."""
        rows = self.db.execute("SELECT * FROM resources WHERE kind=? ORDER BY seq", (kind,))
        return [self._resource(row) for row in rows.fetchall()]

    def alive(self, kind: str) -> list[Resource]:
        """Return resources of a kind that have not ended, oldest first."""
        if kind not in self._living:
            rows = self.db.execute("SELECT * FROM resources WHERE ended=0 AND kind=? ORDER BY seq", (kind,))
            self._living[kind] = {it.name: it for it in map(self._resource, rows.fetchall())}
        return list(self._living[kind].values())

    def last_ends(self, kind: str, quota_class: str, count: int) -> list[float]:
        """Return the virtual times at which the latest `count` ended jobs of a quota class gave their slot back."""
        rows = self.db.execute(
            "SELECT end_v FROM resources WHERE ended=1 AND kind=? AND json_extract(private,'$.quota_class')=?"
            " AND json_extract(private,'$.held_slot')=1 ORDER BY end_v DESC LIMIT ?",
            (kind, quota_class, count),
        )
        return [row[0] for row in rows.fetchall()]

    def _resource(self, row: Any) -> Resource:
        name, kind, parent, seq, created, created_v, body, private, ended, end_v = row
        return Resource(
            name, kind, parent, json.loads(body), json.loads(private), seq, created, created_v, bool(ended), end_v
        )

    def bear_witness(self, resource: Resource) -> None:
        """Write down for ever that this job was created."""
        body = resource.body
        shown = body.get("displayName") or body.get("tunedModelDisplayName") or ""
        row = (resource.seq, resource.kind, resource.name, shown, dumps(body.get("labels", {})), resource.created)
        self.db.execute("INSERT INTO witness VALUES(?,?,?,?,?,?)", row)

    def witnesses(self) -> list[Json]:
        """Return every job ever created, oldest first."""
        rows = self.db.execute("SELECT kind, name, display_name, labels, created FROM witness ORDER BY seq").fetchall()
        return [
            {"kind": kind, "name": name, "displayName": shown, "labels": json.loads(labels), "created": created}
            for kind, name, shown, labels, created in rows
        ]

    # -- lessons

    def learn(self, owner: str, rows: list[tuple[str, str]]) -> None:
        """Store what a job learned: (user turn, answer) in the order of its file."""
        self.db.execute("DELETE FROM lessons WHERE owner=?", (owner,))
        self.db.executemany(
            "INSERT INTO lessons VALUES(?,?,?,?)", [(owner, number, *row) for number, row in enumerate(rows)]
        )

    def lessons(self, owner: str) -> list[tuple[str, str]]:
        """Return what a job learned."""
        rows = self.db.execute("SELECT prompt, answer FROM lessons WHERE owner=? ORDER BY idx", (owner,))
        return [(prompt, answer) for prompt, answer in rows.fetchall()]

    # -- plans and faults

    def add_plan(self, spec: Json) -> None:
        """Queue a plan for the next job of its kind."""
        self.db.execute("INSERT INTO plans(spec) VALUES(?)", (dumps(spec),))

    def take_plan(self, kind: str) -> Json:
        """Return and use up the oldest plan that fits a kind of job; {} when there is none."""
        for number, text in self.db.execute("SELECT id, spec FROM plans ORDER BY id").fetchall():
            spec: Json = json.loads(text)
            if spec.get("kind", "any") in {kind, "any"}:
                self.db.execute("DELETE FROM plans WHERE id=?", (number,))
                return spec
        return {}

    def set_faults(self, specs: list[Json]) -> None:
        """Replace the faults."""
        self.db.execute("DELETE FROM faults")
        self.db.executemany("INSERT INTO faults(spec, seen, hits) VALUES(?,0,0)", [(dumps(spec),) for spec in specs])

    def faults(self) -> list[tuple[int, Json, int, int]]:
        """Return (id, spec, requests seen, times fired) of each fault."""
        rows = self.db.execute("SELECT id, spec, seen, hits FROM faults ORDER BY id").fetchall()
        return [(number, json.loads(spec), seen, hits) for number, spec, seen, hits in rows]

    def count_fault(self, number: int, seen: int, hits: int) -> None:
        """Write down how often a fault was seen and fired."""
        self.db.execute("UPDATE faults SET seen=?, hits=? WHERE id=?", (seen, hits, number))

    # -- log

    def log(self, entry: Json) -> None:
        """Append one request to the log: one write, which the kernel keeps when the process dies."""
        with self.log_path.open("ab", buffering=0) as file:
            file.write((dumps(entry) + "\n").encode())

    def read_log(self) -> list[Json]:
        """Return the logged requests, oldest first."""
        if not self.log_path.exists():
            return []
        lines = self.log_path.read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines if line.endswith("}")]
