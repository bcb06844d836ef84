"""Is there anything to get right? A measure whose reference is the same in every row says nothing about a model.

The router's source counted `metrics.primary` as kept, and every row of it held one filler sentence. Marks therefore
carry a short digest of what each measure was held against, and a report refuses a measure by name where they are all
equal.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import orjson

from finetune_assets.records.digests import canonical_json, short
from finetune_assets.records.measure import Marks

NOTE = "references"
REST = "*"
"""The entry for all measures that have none of their own."""

# Bytes of a reference that many rows are likely to share, such as the names of a plan's metrics.
_SMALL = 200


def reference_note(rest: Any, **single: Any) -> dict[str, dict[str, str | None]]:
    """Return the note of a row's marks that says what its measures were held against.

    Args:
        rest: the reference of all measures that `single` does not name, as JSON.
        single: measure → its reference; None for a measure that has none, such as the validity of JSON.

    Returns:
        `{"references": {"*": …, measure: …}}` with 12 hex digits each; no text can be read from it.
    """
    named = {REST: rest, **single}
    return {NOTE: {name: None if value is None else _digest(value) for name, value in named.items()}}


def _digest(value: Any) -> str:
    try:
        data = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        # Half of a UTF-16 pair or a number beyond 64 bits must not stop a judgement.
        data = canonical_json(value).encode("utf-8", "surrogatepass")
    return _known_digest(data) if len(data) <= _SMALL else short(hashlib.sha256(data).hexdigest())


@lru_cache(maxsize=4096)
def _known_digest(data: bytes) -> str:
    return short(hashlib.sha256(data).hexdigest())


def constant_references(measure: str, marks: Iterable[Marks]) -> bool:
    """True when a measure was held against one and the same reference in all rows that it applies to.

    Args:
        measure: the measure's name.
        marks: the marks of the whole test set, of one model.

    Returns:
        False for fewer than two rows, and for a measure that has no reference.
    """
    first, held = None, 0
    for row in marks:
        notes = row.notes.get(NOTE)
        if isinstance(notes, Mapping) and any(row.stats.get(measure, ())):
            reference = notes.get(measure, notes.get(REST))
            if reference is None or (held and reference != first):
                return False
            first, held = reference, held + 1
    return held > 1
