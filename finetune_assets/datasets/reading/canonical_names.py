"""Canonical names: the fields of a record under the names that its task type knows.

Of several aliases of one field the first of the list that holds something wins. A name with spaces around it or in
another case counts as the name, after those that are exact; unknown fields stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from finetune_assets.records.errors import FinetuneError

_MOST_PLANS = 1_000

Aliases = Mapping[str, Sequence[str]]


def alias_lookup(aliases: Aliases) -> dict[str, tuple[str, int]]:
    """Return, for each name that a source may use, its canonical name and its rank (0 is the best).

    A canonical name is its own alias, after those that are listed.

    Raises:
        FinetuneError: when one name is an alias of two fields.
    """
    lookup: dict[str, tuple[str, int]] = {}
    for canonical, names in aliases.items():
        for rank, name in enumerate(dict.fromkeys([*names, canonical])):
            known = lookup.setdefault(name, (canonical, rank))
            if known[0] != canonical:
                raise FinetuneError(
                    "one source name stands for two fields",
                    where="dataset.source.aliases",
                    found=f"{name!r} in {known[0]!r} and {canonical!r}",
                    expected="each name once",
                    mend="remove it from one of the two lists",
                )
    return lookup


def canonical_fields(raw: Mapping[str, Any], lookup: Mapping[str, tuple[str, int]]) -> dict[str, Any]:
    """Return a record's fields under canonical names.

    Args:
        raw: the fields as found.
        lookup: from `alias_lookup`.

    Returns:
        Canonical fields, then unknown ones as they are. Of several names of one field the best-ranked one that is
        neither null nor an empty text wins.
    """
    return CanonicalNames(lookup).fields(raw)


class CanonicalNames:
    """Gives records their canonical names, working out each set of names once.

    Args:
        lookup: from `alias_lookup`.
    """

    def __init__(self, lookup: Mapping[str, tuple[str, int]]) -> None:
        self._lookup = lookup
        self._folded: dict[str, tuple[str, int] | None] = {}
        for name, (canonical, rank) in lookup.items():
            folded = name.casefold()
            other = self._folded.get(folded, (canonical, rank))
            # Names of two fields that differ only in case are told apart by nothing else.
            same = other is not None and other[0] == canonical
            self._folded[folded] = (canonical, rank + 2 * len(lookup)) if same else None
        # Source names to canonical names in their order, or None where two source names mean one field.
        self._plans: dict[tuple[str, ...], tuple[list[str], list[str]] | None] = {}

    def fields(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields under canonical names, known ones first."""
        names = tuple(raw)
        if names not in self._plans:
            if len(self._plans) >= _MOST_PLANS:
                self._plans.clear()
            self._plans[names] = self._plan(names)
        plan = self._plans[names]
        if plan is None:
            return self._ranked(raw)
        sources, targets = plan
        if len(sources) == len(names) and sources == list(names):
            return dict(zip(targets, raw.values(), strict=True))
        return dict(zip(targets, [raw[name] for name in sources], strict=True))

    def _known(self, name: str) -> tuple[str, int] | None:
        exact = self._lookup.get(name)
        if exact is not None:
            return exact
        bare = name.strip()
        if bare in self._lookup:
            canonical, rank = self._lookup[bare]
            return canonical, rank + len(self._lookup)
        return self._folded.get(bare.casefold())

    def _plan(self, names: tuple[str, ...]) -> tuple[list[str], list[str]] | None:
        known = [(name, found[0]) for name in names if (found := self._known(name))]
        unknown = [(name, name) for name in names if not self._known(name)]
        if len({canonical for _, canonical in known}) < len(known):
            return None
        both = known + unknown
        return [name for name, _ in both], [target for _, target in both]

    def _ranked(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        ranks: dict[str, tuple[bool, int]] = {}
        unknown: dict[str, Any] = {}
        for name, value in raw.items():
            known = self._known(name)
            if known is None:
                unknown[name] = value
                continue
            canonical, rank = known
            standing = (value is None or value == "", rank)
            if canonical not in ranks or standing < ranks[canonical]:
                ranks[canonical] = standing
                fields[canonical] = value
        return fields | unknown
