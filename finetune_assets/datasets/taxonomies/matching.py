"""How the nodes of one level find their successors: by id, name, parts and likeness, in this order.

Here belongs the matching of one level, the level above being matched. The whole is `datasets/taxonomies/diff.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from finetune_assets.datasets.taxonomies.tree import Path, TreeNode

Kind = Literal["same", "rename", "move", "split", "merge", "delete", "add"]
Successors = Mapping[Path, tuple[Kind, tuple[Path, ...], str]]
"""Old path → what happened, the new paths, and the evidence."""

# A likeness (0 to 1) at which two nodes count as one under another name, if no other comes near.
SURE = 0.80
NEAR = 0.10
# Below this a node is no candidate at all.
POSSIBLE = 0.55
# Share of descriptions that says "these are the same", whatever the names.
_SAME_TEXTS = 0.5


@dataclass(frozen=True, slots=True)
class Change:
    """One change at one level.

    Attributes:
        kind: what happened.
        level: the level's name.
        old: paths in the old taxonomy.
        new: paths in the new one.
        evidence: why this is believed.
    """

    kind: Kind
    level: str
    old: tuple[Path, ...]
    new: tuple[Path, ...]
    evidence: str

    def to_json(self) -> dict[str, Any]:
        """Return the change as JSON."""
        return {
            "kind": self.kind,
            "level": self.level,
            "old": [list(path) for path in self.old],
            "new": [list(path) for path in self.new],
            "evidence": self.evidence,
        }


@dataclass(frozen=True, slots=True)
class Question:
    """An old node whose successor only a person can name.

    Attributes:
        level: the level's name.
        old: its path.
        candidates: (path in the new taxonomy, evidence), best first.
    """

    level: str
    old: Path
    candidates: tuple[tuple[Path, str], ...]

    def to_json(self) -> dict[str, Any]:
        """Return the question as JSON."""
        return {
            "level": self.level,
            "old": list(self.old),
            "ask": "which of these is it now, or none?",
            "candidates": [{"path": list(path), "evidence": evidence} for path, evidence in self.candidates],
        }


class LevelMatcher:
    """Matches the nodes of one level, the level above being matched."""

    def __init__(
        self,
        level: str,
        olds: list[TreeNode],
        news: list[TreeNode],
        above: Successors,
    ) -> None:
        self._level = level
        self._olds = {node.path: node for node in olds}
        self._news = {node.path: node for node in news}
        self._above = above
        self._found: dict[Path, tuple[tuple[Path, ...], str]] = {}
        self._taken: set[Path] = set()
        self._asked: dict[Path, tuple[tuple[Path, str], ...]] = {}

    def match(self) -> None:
        """Find a successor for every old node that has one."""
        self._by_ids()
        self._by_name()
        self._by_parts()
        self._by_likeness()

    # -- the steps --------------------------------------------------------------------------------------------------

    def _by_ids(self) -> None:
        holders: dict[str, TreeNode] = {}
        for node in self._news.values():
            holders.update(dict.fromkeys(node.ids, node))
        for old in self._olds.values():
            shared = {holders[item].path: holders[item] for item in sorted(old.ids) if item in holders}
            if not shared:
                continue
            ids = ", ".join(sorted(old.ids))
            rival = self._rival(old, shared)
            if rival is None and all(_is_doubtful(old, node) for node in shared.values()):
                self._asked[old.path] = tuple((path, f"id {ids}, but neither name nor content") for path in shared)
            elif rival is None:
                self._settle(old, tuple(shared), f"id {ids}")
            elif _texts_shared(old, rival) >= _SAME_TEXTS:
                self._settle(old, (rival.path,), f"same name and descriptions, though id {ids} names another now")
            else:
                asked = ((rival.path, "same name, other id"), *((path, f"id {ids}, other name") for path in shared))
                self._asked[old.path] = asked

    def _rival(self, old: TreeNode, shared: Mapping[Path, TreeNode]) -> TreeNode | None:
        """Return the new node that has the old one's name, when its id is now that of a node with another name."""
        if any(node.name.casefold() == old.name.casefold() for node in shared.values()):
            return None
        if old.texts and all(_texts_shared(old, node) >= _SAME_TEXTS for node in shared.values()):
            return None
        named = [node for node in self._below_successors(old) if node.name.casefold() == old.name.casefold()]
        return named[0] if len(named) == 1 else None

    def _by_name(self) -> None:
        for old in self._open_olds():
            named = [node for node in self._below_successors(old) if self._same_name(node, old)]
            if named:
                self._settle(old, tuple(node.path for node in named), "same name")
        elsewhere = self._names_elsewhere()
        for old in self._open_olds():
            moved = elsewhere.get(old.name.casefold(), [])
            if len(moved) == 1:
                self._settle(old, (moved[0].path,), "same name below another parent")
            elif len(moved) > 1:
                self._asked[old.path] = tuple((node.path, "same name below another parent") for node in moved)

    def _same_name(self, node: TreeNode, old: TreeNode) -> bool:
        return node.path not in self._taken and node.name.casefold() == old.name.casefold()

    def _names_elsewhere(self) -> dict[str, list[TreeNode]]:
        """Return the free new nodes by name, for names that one open old node has: titles repeat everywhere."""
        names = [old.name.casefold() for old in self._open_olds()]
        once = {name for name in names if names.count(name) == 1}
        found: dict[str, list[TreeNode]] = {}
        for node in self._free_news():
            if node.name.casefold() in once:
                found.setdefault(node.name.casefold(), []).append(node)
        return found

    def _by_parts(self) -> None:
        """Find splits and merges: several nodes whose names or descriptions make up one."""
        for old in self._open_olds():
            parts = _parts_of(old, self._free_below(old))
            if parts:
                self._settle(old, tuple(node.path for node in parts), _parts_evidence(old, parts, "into"))
        for new in self._free_news():
            parts = _parts_of(new, [old for old in self._open_olds() if new in self._below_successors(old)])
            if parts:
                evidence = _parts_evidence(new, parts, "from")
                for old in parts:
                    self._settle(old, (new.path,), evidence)

    def _by_likeness(self) -> None:
        for old in self._open_olds():
            ranked = sorted(((_likeness(old, new), new.path) for new in self._free_below(old)), reverse=True)
            ranked = [item for item in ranked if item[0] >= POSSIBLE]
            if not ranked:
                continue
            best, path = ranked[0]
            second = ranked[1][0] if len(ranked) > 1 else 0.0
            if best >= SURE and best - second >= NEAR and self._is_mutual(old, self._news[path], best):
                self._settle(old, (path,), f"likeness {best:.2f}")
            else:
                self._asked[old.path] = tuple((new, f"likeness {score:.2f}") for score, new in ranked[:5])

    def _is_mutual(self, old: TreeNode, new: TreeNode, score: float) -> bool:
        rivals = (_likeness(other, new) for other in self._open_olds() if other.path != old.path)
        return score - max(rivals, default=0.0) >= NEAR

    # -- what is open -----------------------------------------------------------------------------------------------

    def _settle(self, old: TreeNode, new: Iterable[Path], evidence: str) -> None:
        paths = tuple(sorted(new))
        self._found[old.path] = (paths, evidence)
        self._taken.update(paths)

    def _open_olds(self) -> list[TreeNode]:
        return [node for path, node in self._olds.items() if path not in self._found and path not in self._asked]

    def _free_news(self) -> list[TreeNode]:
        return [node for path, node in self._news.items() if path not in self._taken]

    def _parents(self, old: TreeNode) -> tuple[Path, ...]:
        return self._above[old.parent][1] if old.parent in self._above else ()

    def _below_successors(self, old: TreeNode) -> list[TreeNode]:
        parents = self._parents(old)
        return [node for node in self._news.values() if node.parent in parents]

    def _free_below(self, old: TreeNode) -> list[TreeNode]:
        return [node for node in self._below_successors(old) if node.path not in self._taken]

    # -- the outcome ------------------------------------------------------------------------------------------------

    def successors(self) -> dict[Path, tuple[Kind, tuple[Path, ...], str]]:
        """Return kind, new paths and evidence of every old node."""
        sources = self._sources()
        return {
            path: (self._kind(node, sources), *self._found.get(path, ((), "nothing like it in the new taxonomy")))
            for path, node in self._olds.items()
        }

    def _sources(self) -> dict[Path, list[Path]]:
        sources: dict[Path, list[Path]] = {}
        for old, (news, _) in self._found.items():
            for new in news:
                sources.setdefault(new, []).append(old)
        return sources

    def _kind(self, old: TreeNode, sources: Mapping[Path, list[Path]]) -> Kind:
        if old.path not in self._found:
            return "delete"
        news = self._found[old.path][0]
        if len(news) > 1:
            return "split"
        if len(sources[news[0]]) > 1 and not self._is_below_merge(news[0], sources):
            return "merge"
        if self._news[news[0]].parent not in self._parents(old):
            return "move"
        return "same" if news[0][-1] == old.path[-1] else "rename"

    def _is_below_merge(self, new: Path, sources: Mapping[Path, list[Path]]) -> bool:
        """Return True when the nodes came together only because the nodes above them did."""
        parents = {path[:-1] for path in sources[new]}
        return len(parents) == len(sources[new]) and all(new[:-1] in self._above[path][1] for path in parents)

    def changes(self) -> list[Change]:
        """Return what changed at this level; what follows from a change above is none of its own."""
        found: dict[tuple[str, tuple[Path, ...]], list[TreeNode]] = {}
        facts = self.successors()
        for path, node in self._olds.items():
            kind, news, _ = facts[path]
            silent = kind == "same" or path in self._asked or (kind == "delete" and not self._parents(node))
            if kind == "split" and self._follows(node, news):
                silent = True
            if not silent:
                found.setdefault((kind, news if kind == "merge" else (path,)), []).append(node)
        changes = [
            Change(facts[nodes[0].path][0], self._level, tuple(n.path for n in nodes), *facts[nodes[0].path][1:])
            for nodes in found.values()
        ]
        return changes + self._additions()

    def _follows(self, old: TreeNode, news: tuple[Path, ...]) -> bool:
        return len(self._parents(old)) > 1 and all(path[-1] == old.path[-1] for path in news)

    def _additions(self) -> list[Change]:
        in_question = {path for asked in self._asked.values() for path, _ in asked}
        known = {parent for _, parents, _ in self._above.values() for parent in parents}
        return [
            Change("add", self._level, (), (node.path,), "nothing like it in the old taxonomy")
            for node in self._free_news()
            if node.path not in in_question and node.parent in known
        ]

    def questions(self) -> list[Question]:
        """Return the old nodes whose successor is in doubt."""
        return [Question(self._level, path, asked) for path, asked in self._asked.items()]


def _texts_shared(one: TreeNode, other: TreeNode) -> float:
    """Return the share (0 to 1) of the smaller set of descriptions that is in the other."""
    smaller = min(len(one.texts), len(other.texts))
    return len(one.texts & other.texts) / smaller if smaller else 0.0


def _is_doubtful(old: TreeNode, new: TreeNode) -> bool:
    """Return True when nothing but the id ties two nodes: it may have been given out again."""
    return bool(old.texts and new.texts) and not old.texts & new.texts and _likeness(old, new) < POSSIBLE


def _likeness(one: TreeNode, other: TreeNode) -> float:
    """Return how alike two nodes are (0 to 1): the better of their names' likeness and their shared descriptions."""
    from rapidfuzz import fuzz

    # "step 1" and "step 2" are alike in letters only.
    if {word for word in one.words if word.isdigit()} != {word for word in other.words if word.isdigit()}:
        return _texts_shared(one, other)
    names = fuzz.token_sort_ratio(" ".join(sorted(one.words)), " ".join(sorted(other.words))) / 100
    return max(names, _texts_shared(one, other))


def _parts_of(whole: TreeNode, candidates: list[TreeNode]) -> list[TreeNode]:
    """Return the nodes that together are `whole`, [] when fewer than two are.

    A part shares descriptions with the whole; or its name narrows the whole's ("card lost" of "card"); or the parts'
    names make up the whole's ("balance", "coordination" of "balance and coordination").
    """
    telling = [node for node in candidates if node.texts & whole.texts]
    if len(telling) > 1:
        return telling
    narrower = [node for node in candidates if whole.words and whole.words < node.words]
    if len(narrower) > 1:
        return narrower
    pieces = [node for node in candidates if node.words and node.words < whole.words]
    joined = frozenset(word for node in pieces for word in node.words)
    return pieces if len(pieces) > 1 and joined == whole.words else []


def _parts_evidence(whole: TreeNode, parts: list[TreeNode], direction: str) -> str:
    shared = sum(bool(node.texts & whole.texts) for node in parts)
    what = "shared descriptions" if shared == len(parts) else "the words of the names"
    return f"{what}: {direction} {len(parts)} nodes"
