"""JSON and JSON Lines, mended in place: only the bytes of changed records differ."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from finetune_assets.datasets.config import SourceConfig
from finetune_assets.datasets.reading.json_rows import FoundRow
from finetune_assets.datasets.reading.readers import read_rows
from finetune_assets.datasets.repair.files import Replacement, Splice
from finetune_assets.datasets.repair.mends import Change


class JsonFile:
    """A JSON or JSON Lines file; see `MendableFile`."""

    is_table = False

    def __init__(self, path: Path, config: SourceConfig, part: Path | None) -> None:
        self.columns: Sequence[str] = ()
        self.head_changes: Sequence[Change] = ()
        self._path = path
        self._config = config
        self._splice = Splice(path, part)

    def rows(self) -> Iterator[tuple[FoundRow, dict[str, Any]]]:
        """Yield the readable records."""
        return ((row, row.fields) for row in read_rows(self._path, self._config) if row.fault is None)

    def put(self, row: FoundRow, fields: dict[str, Any]) -> bool:
        """Write a record in the style of the old one; False when its numbers cannot be spelt as they were."""
        item = self._replacement(row, fields)
        if item is None:
            return False
        self._splice.replace(item)
        return True

    def finish(self) -> bool:
        """Write what is left."""
        return self._splice.finish()

    def close(self) -> None:
        """Close the files."""
        self._splice.close()

    def _replacement(self, row: FoundRow, fields: dict[str, Any]) -> Replacement | None:
        if row.offset is None:
            return None
        text = row.text.strip()
        start = len(row.text) - len(row.text.lstrip())
        offset, old = row.offset + len(row.text[:start].encode()), text.encode()
        if not self._splice.holds(offset, old) or json.loads(text, parse_float=_exact) != row.fields:
            return None
        separators = (", ", ": ") if '": ' in text else (",", ":")
        new = json.dumps(fields, ensure_ascii="\\u" in text and text.isascii(), separators=separators)
        return Replacement(offset, len(old), new.encode())


def _exact(number: str) -> float:
    """Return a number; one whose spelling Python would change is no equal of anything, so the record is left alone."""
    value = float(number)
    return value if repr(value) == number else float("nan")
