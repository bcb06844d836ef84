"""The taxonomy: which labels exist, how they hang together, and whether a given one is legal.

Here belong lookups, exact validation, statistics and the normalised form. Reading the file is in
`datasets/taxonomies/file.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from finetune_assets.datasets.taxonomies.file import read_taxonomy, read_taxonomy_file
from finetune_assets.datasets.taxonomies.nodes import Attribute, Domain, Point, tidy
from finetune_assets.records.digests import digest_of

SCHEMA = "taxonomy/1"
_SHOWN = 8
_MAX_ID = 10**18


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a label is not legal.

    Attributes:
        level: the level at fault, or `description`.
        reason: a code of `datasets/quarantine.py`: `missing_field`, `wrong_type`, `unknown_label`, `invalid_label`
            (every part exists, but not together) or `wrong_description`.
        found: what was found.
        expected: what would have been right.
    """

    level: str
    reason: str
    found: str
    expected: str


@dataclass(frozen=True)
class Taxonomy:
    """A label tree of one, two or three levels.

    Attributes:
        levels: names of the levels, outermost first: `("domain", "attribute", "progression")`, `("domain", "label")`
            or `("label",)`.
        domains: the outermost nodes in their sort order.
        include_hidden: True when progression points marked hidden are legal like the others.
    """

    levels: tuple[str, ...]
    domains: tuple[Domain, ...]
    include_hidden: bool = False

    @classmethod
    def load(cls, path: Path, *, include_hidden: bool = False) -> Taxonomy:
        """Read a taxonomy file of any shape that `datasets/taxonomies/file.py` lists.

        Raises:
            FinetuneError: when the file is missing, malformed, or has ids or names twice; it names the place.
        """
        levels, domains = read_taxonomy_file(path)
        return cls(levels, domains, include_hidden)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Taxonomy:
        """Read what `to_json` wrote; the same checks hold as for a file.

        Raises:
            FinetuneError: when it is malformed.
        """
        levels, domains = read_taxonomy(data, where="taxonomy of the manifest")
        return cls(levels, domains, bool(data.get("include_hidden", False)))

    def to_json(self) -> dict[str, Any]:
        """Return the normalised form: snake_case members, every level sorted, with `statistics`."""
        return {**self._content(), "statistics": self.statistics()}

    def _content(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "levels": list(self.levels),
            "include_hidden": self.include_hidden,
            "domains": [domain.model_dump(mode="json") for domain in self.domains],
        }

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the content, whatever the file's name, its member order or its unknown members."""
        return digest_of(self._content())

    @cached_property
    def paths(self) -> tuple[tuple[str, ...], ...]:
        """Every legal label as (domain key, attribute name, progression title), sorted."""
        return tuple(sorted(path for domain in self.domains for path in self._paths_of(domain)))

    def _paths_of(self, domain: Domain) -> set[tuple[str, ...]]:
        if len(self.levels) == 1:
            return {(domain.key,)}
        if len(self.levels) == 2:
            return {(domain.key, label.name) for label in domain.attributes}
        return {
            (domain.key, attribute.name, point.title)
            for attribute in domain.attributes
            for point in self.visible_points(attribute)
        }

    def visible_points(self, attribute: Attribute) -> list[Point]:
        """Return the attribute's points that are legal: all but the hidden ones, unless `include_hidden`."""
        return [point for point in attribute.progression_points if self.include_hidden or not point.is_hidden]

    def names_at(self, level: str) -> tuple[str, ...]:
        """Return the distinct names at a level in the taxonomy's own order, as a chart shows them.

        Raises:
            ValueError: when the taxonomy has no such level.
        """
        depth = self.levels.index(level)
        if level == "progression":
            points = [point for item in self._attributes for point in self.visible_points(item)]
            points.sort(key=lambda point: str(point.progression_points_id or "").zfill(9))
            return tuple(dict.fromkeys(point.title for point in points))
        if depth == 0:
            return tuple(domain.key for domain in self.domains)
        return tuple(dict.fromkeys(item.name for item in self._attributes))

    @property
    def _attributes(self) -> list[Attribute]:
        return [attribute for domain in self.domains for attribute in domain.attributes]

    @cached_property
    def _domain_index(self) -> dict[str, Domain]:
        return {ref: item for item in self.domains for ref in _exact_refs(item.id, item.key, item.name)}

    @cached_property
    def _attribute_index(self) -> dict[tuple[str, str], Attribute]:
        return {
            (domain.key, ref): item
            for domain in self.domains
            for item in domain.attributes
            for ref in _exact_refs(item.id, item.name)
        }

    @cached_property
    def _attribute_homes(self) -> dict[str, Domain]:
        """Id or name of an attribute → one domain that has it."""
        return {
            ref: domain
            for domain in self.domains
            for item in domain.attributes
            for ref in _exact_refs(item.id, item.name)
        }

    @cached_property
    def _point_index(self) -> dict[str, tuple[Domain, Attribute, Point]]:
        return {
            str(point.id): (domain, item, point)
            for domain in self.domains
            for item in domain.attributes
            for point in item.progression_points
            if point.id is not None
        }

    def domain(self, ref: object) -> Domain | None:
        """Return the domain with this id, key or name; exact but for white space, None when there is none."""
        text = _ref_text(ref)
        return None if text is None else self._domain_index.get(text)

    def attribute(self, domain: Domain, ref: object) -> Attribute | None:
        """Return the domain's attribute (or label) with this id or name, None when it has none."""
        text = _ref_text(ref)
        return None if text is None else self._attribute_index.get((domain.key, text))

    def point(self, ref: object) -> tuple[Domain, Attribute, Point] | None:
        """Return the progression point with this id, with its attribute and domain, None when there is none."""
        text = _ref_text(ref)
        return None if text is None else self._point_index.get(text)

    def resolve(self, values: Sequence[object], description: object = None) -> tuple[str, ...] | Fault:
        """Validate one label exactly and return its path.

        A name matches as a whole: letter case counts, part of a name is not the name, and blank is missing. Ids may
        be numbers or their text.

        Args:
            values: one id, key or name for each level, outermost first.
            description: the progression's description, None or blank when it was not given; a given one must be that
                of one of the level's points.

        Returns:
            The label path, or what is wrong with it.
        """
        for level, value in zip(self.levels, values, strict=True):
            if (fault := _fault_of_value(level, value)) is not None:
                return fault
        domain = self.domain(values[0])
        if domain is None:
            return _unknown(self.levels[0], values[0], [item.key for item in self.domains])
        if len(self.levels) == 1:
            return (domain.key,)
        attribute = self.attribute(domain, values[1])
        if attribute is None:
            return self._attribute_fault(domain, values[1])
        if len(self.levels) == 2:
            return (domain.key, attribute.name)
        return self._resolve_title(domain, attribute, values[2], description)

    def _attribute_fault(self, domain: Domain, value: object) -> Fault:
        home = self._attribute_homes.get(_ref_text(value) or "")
        known = [item.name for item in domain.attributes]
        if home is None:
            return _unknown(self.levels[1], value, known)
        return Fault(self.levels[1], "invalid_label", f"{value}, which is of {home.key}", _one_of(known))

    def _resolve_title(
        self, domain: Domain, attribute: Attribute, value: object, description: object
    ) -> tuple[str, ...] | Fault:
        level, title = self.levels[2], _ref_text(value)
        visible = [point for point in self.visible_points(attribute) if point.title == title]
        if visible:
            fault = _fault_of_description(visible, description)
            return fault if fault is not None else (domain.key, attribute.name, visible[0].title)
        legal = list(dict.fromkeys(point.title for point in self.visible_points(attribute)))
        if any(point.title == title for point in attribute.progression_points):
            return Fault(level, "invalid_label", f"{title}, which is hidden in {attribute.name}", _one_of(legal))
        if any(point.title == title for item in self._attributes for point in item.progression_points):
            return Fault(level, "invalid_label", f"{title}, which {attribute.name} lacks", _one_of(legal))
        return _unknown(level, value, legal)

    def descriptions(self, path: Sequence[str]) -> tuple[str, ...]:
        """Return the descriptions of a path's points in order, () for a taxonomy without progressions."""
        if len(self.levels) < 3:
            return ()
        attribute = self._attribute_index[(path[0], path[1])]
        return tuple(point.description for point in self.visible_points(attribute) if point.title == path[2])

    def describe(self, path: Sequence[str]) -> dict[str, str]:
        """Return what the taxonomy knows besides a legal path: the domain's name and the first description."""
        if len(self.levels) < 3:
            return {}
        return {
            "domain_name": self._domain_index[path[0]].name,
            "progression_description": self.descriptions(path)[0],
        }

    def statistics(self) -> dict[str, Any]:
        """Return counts of nodes, legal paths, hidden points and points a level, and attributes lacking levels."""
        points = [point for item in self._attributes for point in item.progression_points]
        titles = self.names_at("progression") if "progression" in self.levels else ()
        counts = Counter(point.title for item in self._attributes for point in self.visible_points(item))
        lacking = []
        for item in self._attributes if titles else ():
            present = {point.title for point in self.visible_points(item)}
            if missing := [title for title in titles if title not in present]:
                lacking.append({"attribute": item.name, "missing": missing})
        return {
            "total_domains": len(self.domains),
            "total_attributes": len(self._attributes),
            "total_progression_points": len(points),
            "hidden_points": sum(point.is_hidden for point in points),
            "total_paths": len(self.paths),
            "progressions_by_level": {title: counts[title] for title in titles},
            "attributes_lacking_levels": lacking,
            "domains": [
                {"id": item.id, "key": item.key, "name": item.name, "attribute_count": len(item.attributes)}
                for item in self.domains
            ],
        }


def _exact_refs(*names: object) -> set[str]:
    return {str(name) for name in names if name is not None}


def _ref_text(value: object) -> str | None:
    """Return the text by which a node is looked up; bool and float are no ids."""
    if isinstance(value, str):
        return tidy(value) or None
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < _MAX_ID:
        return str(value)
    return None


def _fault_of_value(level: str, value: object) -> Fault | None:
    if value is None or (isinstance(value, str) and not tidy(value)):
        return Fault(
            level, "missing_field", "nothing" if value is None else "blank text", f"an id or name of the {level}"
        )
    if _ref_text(value) is None:
        return Fault(level, "wrong_type", type(value).__name__, f"text or a whole number for the {level}")
    return None


def _fault_of_description(points: list[Point], description: object) -> Fault | None:
    if description is None or (isinstance(description, str) and not tidy(description)):
        return None
    if not isinstance(description, str):
        return Fault("description", "wrong_type", type(description).__name__, "text")
    known = [point.description for point in points]
    if tidy(description) in known:
        return None
    return Fault("description", "wrong_description", description, _one_of(known))


def _unknown(level: str, value: object, known: list[str]) -> Fault:
    return Fault(level, "unknown_label", str(value), _one_of(known))


def _one_of(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    more = f", … ({len(names)} in all)" if len(names) > _SHOWN else ""
    return f"one of {shown}{more}" if names else "nothing: it has no legal one"
