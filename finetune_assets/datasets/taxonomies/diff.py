"""What changed between two taxonomies: nodes renamed, moved, split, merged, deleted or added, with the evidence.

Nodes are matched level by level, outermost first: by id, then by name below the same parent, then by name elsewhere,
then by likeness of names and descriptions. An id is believed unless the names contradict it; what stays ambiguous is a
question, never a guess. What becomes of rows is in `datasets/taxonomies/migration.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from finetune_assets.datasets.taxonomies.matching import Change, Kind, LevelMatcher, Question, Successors
from finetune_assets.datasets.taxonomies.taxonomy import Taxonomy
from finetune_assets.datasets.taxonomies.tree import Path, levels_of
from finetune_assets.records.errors import FinetuneError


@dataclass(frozen=True)
class TaxonomyDiff:
    """The changes, and the successors of every old node.

    Attributes:
        old_digest: digest of the old taxonomy.
        new_digest: digest of the new one.
        changes: by level, then by path.
        questions: by level, then by path.
        successors: old path (of any level) → (kind, new paths, evidence). No new path: deleted or in question.
    """

    old_digest: str
    new_digest: str
    changes: tuple[Change, ...]
    questions: tuple[Question, ...]
    successors: Successors = field(repr=False)

    def to_json(self) -> dict[str, Any]:
        """Return changes and questions as JSON."""
        return {
            "old_digest": self.old_digest,
            "new_digest": self.new_digest,
            "changes": [change.to_json() for change in self.changes],
            "questions": [question.to_json() for question in self.questions],
        }

    def candidates(self, path: Path) -> tuple[Path, ...]:
        """Return the new paths that an old node in question may have become."""
        return next((tuple(new for new, _ in item.candidates) for item in self.questions if item.old == path), ())


def diff_taxonomies(old: Taxonomy, new: Taxonomy) -> TaxonomyDiff:
    """Compare two taxonomies.

    Args:
        old: the taxonomy that rows are labelled by.
        new: the one that they shall be labelled by.

    Returns:
        The changes. Comparing a taxonomy with itself gives none.

    Raises:
        FinetuneError: when the two have different levels: rows of one shape cannot be labelled by the other.
    """
    if old.levels != new.levels:
        raise FinetuneError(
            "taxonomies have different levels",
            found=" / ".join(new.levels),
            expected=" / ".join(old.levels),
            mend="keep the shape, or label the rows anew",
        )
    successors: dict[Path, tuple[Kind, tuple[Path, ...], str]] = {(): ("same", ((),), "")}
    changes: list[Change] = []
    questions: list[Question] = []
    for level, olds, news in zip(old.levels, levels_of(old), levels_of(new), strict=True):
        matcher = LevelMatcher(level, olds, news, successors)
        matcher.match()
        successors.update(matcher.successors())
        changes += matcher.changes()
        questions += matcher.questions()
    return TaxonomyDiff(old.digest, new.digest, tuple(changes), tuple(questions), successors)
