"""Ids: every record that has none, or one that another record has too, gets one made of its content.

The first record of an id in the order of the source keeps it. Copies of one record are duplicates, not faults of the
id, and stay as they are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from finetune_assets.datasets.repair.mends import Change, MendRules
from finetune_assets.records.digests import canonical_json

_HASH_DIGITS = 12
_KEY_BYTES = 16


class IdBook:
    """The ids of a source: first seen, then given.

    Args:
        id_field: the canonical field of the id.
        rules: to tell a field by any of its names.
    """

    def __init__(self, id_field: str, rules: MendRules) -> None:
        self._id_field = id_field
        self._rules = rules
        self._owner: dict[bytes, bytes] = {}

    def note(self, row: Mapping[str, Any]) -> None:
        """Take in one record, in the order of the source, before any id is given."""
        found = self._id_of(row)
        if found:
            self._owner.setdefault(_key(found), self._content(row))

    def mend(self, row: Mapping[str, Any]) -> tuple[dict[str, Any], Change | None]:
        """Return the record with an id of its own, and the change if there was one."""
        found = self._id_of(row)
        content = self._content(row)
        if found and self._owner.get(_key(found), content) == content:
            return dict(row), None
        name = next((item for item in row if self._rules.canonical(item) == self._id_field), self._id_field)
        before = row.get(name)
        after = self._free_id(found or "row", content)
        # A new id stands first, as a reader expects it.
        mended = {name: after, **row} if name not in row else dict(row)
        mended[name] = after
        return mended, Change("new_id", name, before, after)

    def _free_id(self, stem: str, content: bytes) -> str:
        digits = content.hex()
        for length in range(_HASH_DIGITS, len(digits) + 1):
            new = f"{stem}-{digits[:length]}"
            if self._owner.setdefault(_key(new), content) == content:
                return new
        raise ValueError("two contents have one hash")

    def _id_of(self, row: Mapping[str, Any]) -> str:
        for name, value in row.items():
            if self._rules.canonical(name) == self._id_field and isinstance(value, str | int):
                return str(value).strip()
        return ""

    def _content(self, row: Mapping[str, Any]) -> bytes:
        fields = {
            canonical: value
            for name, value in row.items()
            if (canonical := self._rules.canonical(name)) != self._id_field
        }
        return _key(canonical_json(fields))


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_KEY_BYTES).digest()
