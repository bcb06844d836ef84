"""A taxonomy as nodes that can be compared: one flat list for each level, each node with its ids, name and texts."""

from __future__ import annotations

import re
from dataclasses import dataclass

from finetune_assets.datasets.taxonomies.nodes import Attribute, Domain, NodeId, Point
from finetune_assets.datasets.taxonomies.taxonomy import Taxonomy

Path = tuple[str, ...]

_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class TreeNode:
    """One node of one level.

    Attributes:
        path: the names from the outermost level to this one, as labels spell them.
        name: its name for people.
        ids: its ids as text; of a progression title those of its points.
        texts: descriptions that belong to it.
    """

    path: Path
    name: str
    ids: frozenset[str]
    texts: frozenset[str]

    @property
    def parent(self) -> Path:
        """The path of the node above; () at the outermost level."""
        return self.path[:-1]

    @property
    def words(self) -> frozenset[str]:
        """The words of its name without letter case; "and" and "or" join names and say nothing."""
        return frozenset(word for word in _WORD.findall(self.name.casefold()) if word not in ("and", "or", "und"))


def levels_of(taxonomy: Taxonomy) -> list[list[TreeNode]]:
    """Return the nodes of each level, outermost first, in the taxonomy's order; hidden points only where legal."""
    levels = [[_domain_node(domain) for domain in taxonomy.domains]]
    if len(taxonomy.levels) > 1:
        levels.append([_attribute_node(taxonomy, domain, item) for domain, item in _attributes(taxonomy)])
    if len(taxonomy.levels) > 2:
        levels.append([node for domain, item in _attributes(taxonomy) for node in _title_nodes(taxonomy, domain, item)])
    return levels


def _attributes(taxonomy: Taxonomy) -> list[tuple[Domain, Attribute]]:
    return [(domain, item) for domain in taxonomy.domains for item in domain.attributes]


def _ids(*ids: NodeId | None) -> frozenset[str]:
    return frozenset(str(item) for item in ids if item is not None)


def _texts(points: list[Point]) -> frozenset[str]:
    return frozenset(point.description.casefold() for point in points)


def _domain_node(domain: Domain) -> TreeNode:
    texts = frozenset(item.name.casefold() for item in domain.attributes)
    return TreeNode((domain.key,), domain.name, _ids(domain.id), texts)


def _attribute_node(taxonomy: Taxonomy, domain: Domain, item: Attribute) -> TreeNode:
    return TreeNode((domain.key, item.name), item.name, _ids(item.id), _texts(taxonomy.visible_points(item)))


def _title_nodes(taxonomy: Taxonomy, domain: Domain, item: Attribute) -> list[TreeNode]:
    points: dict[str, list[Point]] = {}
    for point in taxonomy.visible_points(item):
        points.setdefault(point.title, []).append(point)
    return [
        TreeNode((domain.key, item.name, title), title, _ids(*(point.id for point in found)), _texts(found))
        for title, found in points.items()
    ]
