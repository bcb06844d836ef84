"""Comparing two versions row by row, in memory that does not grow with them.

Keys and labels of both versions go into a temporary SQLite file; each question is one query. Rows are told apart by
content key, the identity that splits remember, and by record id, the identity that people know.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from finetune_assets.datasets.split_files import ASSIGNMENTS, EXAMPLES
from finetune_assets.datasets.versions.catalogue import Version
from finetune_assets.records.example import SPLITS

DEFAULT_SHOWN = 100

_SCHEMA = """
CREATE TABLE {side} (key BLOB PRIMARY KEY, id TEXT, label TEXT, split TEXT, example BLOB) WITHOUT ROWID;
CREATE TABLE {side}_assigned (key BLOB PRIMARY KEY, split TEXT) WITHOUT ROWID;
"""
_ADD_ROW = "INSERT INTO {side} VALUES (?, ?, ?, ?, ?)"
_ADD_ASSIGNED = "INSERT INTO {side}_assigned VALUES (?, ?)"
_COUNT = "SELECT COUNT(*) FROM ({query})"
_COUNT_SPLIT = "SELECT COUNT(*) FROM {side} WHERE split = ?"
_UNCHANGED = "SELECT 1 FROM a JOIN b USING (key) WHERE a.example = b.example AND a.split = b.split AND a.id = b.id"
_ONLY = "CREATE TABLE only_{side} AS SELECT * FROM {side} WHERE key NOT IN (SELECT key FROM {other})"

# The kinds of difference: name → what it selects, as (record id, columns that say what differs).
_QUESTIONS: Mapping[str, tuple[tuple[str, ...], str]] = {
    # The memory of assignments holds also the rows that are in neither version any more.
    "moved": (
        ("record_id", "content_key", "from", "to"),
        "SELECT COALESCE(b.id, a.id, ''), hex(x.key), x.split, y.split FROM a_assigned x JOIN b_assigned y USING (key)"
        " LEFT JOIN a USING (key) LEFT JOIN b USING (key) WHERE x.split <> y.split",
    ),
    "added": (
        ("record_id", "split", "label"),
        "SELECT id, split, label FROM only_b WHERE id NOT IN (SELECT id FROM only_a)",
    ),
    "removed": (
        ("record_id", "split", "label"),
        "SELECT id, split, label FROM only_a WHERE id NOT IN (SELECT id FROM only_b)",
    ),
    "changed": (
        ("record_id", "from", "to", "label"),
        "SELECT id, x.split, y.split, y.label FROM only_a x JOIN only_b y USING (id)",
    ),
    "relabelled": (
        ("record_id", "split", "from", "to"),
        "SELECT b.id, b.split, a.label, b.label FROM a JOIN b USING (key) WHERE a.label <> b.label"
        " UNION ALL"
        " SELECT id, y.split, x.label, y.label FROM only_a x JOIN only_b y USING (id) WHERE x.label <> y.label",
    ),
    "reworded": (
        ("record_id", "split"),
        "SELECT b.id, b.split FROM a JOIN b USING (key) WHERE a.label = b.label AND a.example <> b.example",
    ),
    "renumbered": (
        ("record_id", "from"),
        "SELECT b.id, a.id FROM a JOIN b USING (key) WHERE a.id <> b.id",
    ),
}

MEANINGS: Mapping[str, str] = {
    "moved": "the same question in another split (none may)",
    "added": "rows that the older version does not have",
    "removed": "rows that the newer version does not have",
    "changed": "the same record id, another question",
    "relabelled": "the same question or record id, another label",
    "reworded": "the same question and label; prompt or answer are written otherwise",
    "renumbered": "the same question under another record id",
}


@dataclass(frozen=True, slots=True)
class Comparison:
    """What differs between two versions.

    Attributes:
        older: number of the first version.
        newer: number of the second.
        namespaces: namespace of the first version and of the second.
        same_digest: True when both have the same content digest.
        counts: rows by kind of difference, in the order of `MEANINGS`; `unchanged` at the end.
        rows: the first rows of each kind, by record id; never a text.
        splits: rows by split, as (older, newer).
        reasons: quarantined rows by reason, as (older, newer), where they differ.
        made_from: what the versions were made from, where it differs: dotted path → (older, newer).
    """

    older: int
    newer: int
    namespaces: tuple[str, str]
    same_digest: bool
    counts: dict[str, int]
    rows: dict[str, list[dict[str, Any]]] = field(repr=False)
    splits: dict[str, tuple[int, int]]
    reasons: dict[str, tuple[int, int]]
    made_from: dict[str, tuple[Any, Any]]

    @property
    def moved(self) -> int:
        """Rows that are in another split than before."""
        return self.counts["moved"]

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as JSON."""
        return asdict(self)


def compare_versions(older: Version, newer: Version, *, shown: int = DEFAULT_SHOWN) -> Comparison:
    """Compare two versions of one task.

    Args:
        older: the version to start from.
        newer: the version to end at.
        shown: how many rows of each kind are named; the counts are of all.

    Returns:
        The differences.

    Raises:
        FinetuneError: when the files of one are gone.
    """
    with (
        tempfile.TemporaryDirectory(prefix="finetune-compare-") as folder,
        closing(sqlite3.connect(Path(folder) / "keys.db")) as database,
    ):
        for side, version in (("a", older), ("b", newer)):
            _load(database, side, version.files().path)
        for side, other in (("a", "b"), ("b", "a")):
            database.execute(_ONLY.format(side=side, other=other))
            database.execute(f"CREATE INDEX only_{side}_id ON only_{side} (id)")
        counts, rows = {}, {}
        for name, (columns, query) in _QUESTIONS.items():
            counts[name] = _number(database, _COUNT.format(query=query))
            found = database.execute(f"{query} ORDER BY 1, 2 LIMIT ?", (shown,)).fetchall()
            rows[name] = [dict(zip(columns, row, strict=True)) for row in found]
        counts["unchanged"] = _number(database, _COUNT.format(query=_UNCHANGED))
        splits = {name: _split_sizes(database, name) for name in SPLITS}
    return Comparison(
        older=older.head.number,
        newer=newer.head.number,
        namespaces=(older.head.namespace, newer.head.namespace),
        same_digest=older.head.digest == newer.head.digest,
        counts=counts,
        rows=rows,
        splits=splits,
        reasons=_differing(older.summary.get("reasons", {}), newer.summary.get("reasons", {}), absent=0),
        made_from=_differing(flattened(older.made_from), flattened(newer.made_from), absent=None),
    )


def _load(database: sqlite3.Connection, side: str, folder: Path) -> None:
    database.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;" + _SCHEMA.format(side=side))
    _fill(database, _ADD_ROW.format(side=side), _example_rows(folder / EXAMPLES))
    _fill(database, _ADD_ASSIGNED.format(side=side), _assigned_rows(folder / ASSIGNMENTS))


def _fill(database: sqlite3.Connection, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
    with database:
        database.executemany(statement, rows)


def _example_rows(path: Path) -> Iterator[tuple[Any, ...]]:
    import orjson

    with path.open("rb", buffering=1 << 20) as lines:
        for line in lines:
            row = orjson.loads(line)
            key, example = bytes.fromhex(row["content_key"]), bytes.fromhex(row["example_id"])
            yield key, row["record_id"], row["label"], row["split"], example


def _assigned_rows(path: Path) -> Iterator[tuple[bytes, str]]:
    import orjson

    with path.open("rb", buffering=1 << 20) as lines:
        for line in lines:
            row = orjson.loads(line)
            yield bytes.fromhex(row["content_key"]), row["split"]


def _number(database: sqlite3.Connection, query: str, *values: str) -> int:
    return int(database.execute(query, values).fetchone()[0])


def _split_sizes(database: sqlite3.Connection, split: str) -> tuple[int, int]:
    older, newer = (_number(database, _COUNT_SPLIT.format(side=side), split) for side in ("a", "b"))
    return older, newer


def flattened(tree: Any, prefix: str = "") -> dict[str, Any]:
    """Return the leaves of nested mappings by dotted path; lists are leaves."""
    if not isinstance(tree, Mapping) or not tree:
        return {prefix: tree} if prefix else {}
    leaves: dict[str, Any] = {}
    for name, value in tree.items():
        leaves |= flattened(value, f"{prefix}.{name}" if prefix else str(name))
    return leaves


def _differing(older: Mapping[str, Any], newer: Mapping[str, Any], *, absent: Any) -> dict[str, tuple[Any, Any]]:
    names = sorted(older.keys() | newer.keys())
    pairs = {name: (older.get(name, absent), newer.get(name, absent)) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
