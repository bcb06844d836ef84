"""Writing a row's label in the words of another taxonomy, as ids where it had ids and as names where it had names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from finetune_assets.datasets.taxonomies.nodes import Attribute, Domain, tidy
from finetune_assets.datasets.taxonomies.taxonomy import Fault, Taxonomy
from finetune_assets.datasets.taxonomies.tree import Path


@dataclass(frozen=True, slots=True)
class LabelFields:
    """Where a record names its label.

    Attributes:
        levels: one canonical field for each level, outermost first.
        stated: fields that name a level a second time → (level, `key` or `name`).
        description: the field of the label's description, "" for none.
    """

    levels: tuple[str, ...]
    stated: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    description: str = ""


def label_of(fields: Mapping[str, Any], names: LabelFields, taxonomy: Taxonomy) -> Path | None:
    """Return a record's label path, None when it has none that is legal."""
    path = taxonomy.resolve([fields.get(name) for name in names.levels])
    return None if isinstance(path, Fault) else path


def relabel(
    fields: Mapping[str, Any], names: LabelFields, old: Taxonomy, old_path: Path, new: Taxonomy, new_path: Path
) -> dict[str, Any]:
    """Return the record's fields with its label as `new_path` of the new taxonomy.

    Args:
        fields: the record's fields by canonical name.
        names: where it names its label.
        old: the taxonomy that it is labelled by.
        old_path: its label there.
        new: the other taxonomy.
        new_path: its label there, legal.

    Returns:
        New fields. A field that says the same in both taxonomies keeps its value as it is spelt; a second naming that
        contradicted the label before still does; a description that the new label lacks is replaced by that of the same
        point or, when the label has one only, by it, and else removed.
    """
    changed = dict(fields)
    old_nodes, new_nodes = _nodes(old, old_path), _nodes(new, new_path)
    for number, name in enumerate(names.levels):
        if number < len(old_nodes):
            changed[name] = _reference(fields[name], old_nodes[number], new_nodes[number])
        elif tidy(str(fields[name])) != new_path[number]:
            changed[name] = new_path[number]
    for name, (level, what) in names.stated.items():
        depth = old.levels.index(level)
        before, after = _stated(old_nodes[depth], what), _stated(new_nodes[depth], what)
        if isinstance(fields.get(name), str) and tidy(fields[name]) == before and before != after:
            changed[name] = after
    if names.description and isinstance(fields.get(names.description), str):
        _describe(changed, names.description, old, old_path, new, new_path)
    return changed


def _nodes(taxonomy: Taxonomy, path: Path) -> list[Domain | Attribute]:
    domain = taxonomy.domain(path[0])
    if domain is None:
        raise ValueError(f"{path} is no path of the taxonomy")
    attribute = taxonomy.attribute(domain, path[1]) if len(path) > 1 else None
    return [domain] if attribute is None else [domain, attribute]


def _label(node: Domain | Attribute) -> str:
    return node.key if isinstance(node, Domain) else node.name


def _stated(node: Domain | Attribute, what: str) -> str:
    return node.name if what == "name" else _label(node)


def _reference(value: object, old: Domain | Attribute, new: Domain | Attribute) -> object:
    """Return how a field names `new`, when it named `old` by `value`."""
    text = tidy(value) if isinstance(value, str) else str(value)
    if old.id is not None and text == str(old.id) and text != _label(old):
        if new.id is None:
            return _label(new)
        if str(new.id) == text:
            return value
        return new.id if isinstance(value, int) else str(new.id)
    by_name = text == old.name and text != _label(old)
    after = new.name if by_name else _label(new)
    return value if after == text else after


def _describe(changed: dict[str, Any], name: str, old: Taxonomy, old_path: Path, new: Taxonomy, new_path: Path) -> None:
    """Bring the description along, when it was one of the old label's."""
    text, known = tidy(changed[name]), new.descriptions(new_path)
    if not text or text in known or text not in old.descriptions(old_path):
        return
    same = _same_point(text, old, old_path, new, new_path)
    if same:
        changed[name] = same
    elif len(known) == 1:
        changed[name] = known[0]
    else:
        del changed[name]


def _same_point(text: str, old: Taxonomy, old_path: Path, new: Taxonomy, new_path: Path) -> str:
    """Return the new description of the point that `text` described, "" when it is none of the new label's."""
    attribute = _nodes(old, old_path)[1]
    points = attribute.progression_points if isinstance(attribute, Attribute) else ()
    for point in points:
        found = new.point(point.id) if point.description == text and point.title == old_path[2] else None
        if found is not None and (found[0].key, found[1].name, found[2].title) == new_path:
            return found[2].description
    return ""
