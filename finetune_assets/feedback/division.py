"""Divides corrected cases: each becomes a training row or, by its leak group, a regression sample, and never both.

`divide` is pure. A group's side is decided once and remembered for ever, so that what a release was judged on never
enters training later, and what was trained on never judges.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import select

from finetune_assets.records.digests import digest_of_text, unit_interval
from finetune_assets.records.errors import FinetuneError
from finetune_assets.storage.clock import utc_now
from finetune_assets.storage.database import Database
from finetune_assets.storage.feedback_models import CaseSideRow

Side = Literal["train", "regression"]
_STEP_ROWS = 1_000


@dataclass(frozen=True, slots=True)
class Division:
    """Which case goes where; every case is in exactly one of the three.

    Attributes:
        train: cases that become training rows, in order of their numbers.
        regression: cases that become regression samples.
        set_aside: cases that would tie groups of both sides.
        groups: the side of every group that was decided now; to be remembered.
    """

    train: tuple[int, ...]
    regression: tuple[int, ...]
    set_aside: tuple[int, ...]
    groups: Mapping[str, Side]


def divide(
    cases: Mapping[int, Sequence[str]],
    known_groups: Mapping[str, Side],
    *,
    regression_share: float = 0.2,
    seed: int = 0,
) -> Division:
    """Divide cases by their leak groups.

    Args:
        cases: number of each case to its groups: the key of its content and its declared groups, at least one.
        known_groups: sides that were decided before, training and evaluation rows of earlier versions included.
        regression_share: share of new components that become regression samples, from 0 to 1.
        seed: any integer.

    Returns:
        The division; it depends on neither the order of the cases nor that of their groups.

    Raises:
        FinetuneError: for a case without a group.
    """
    for number, groups in cases.items():
        if not groups:
            raise FinetuneError("an error case has no leak group", where=f"case {number}")
    found: dict[str, list[int]] = {"train": [], "regression": [], "": []}
    decided: dict[str, Side] = {}
    for component in _components(cases, known_groups):
        new = sorted({group for number in component for group in cases[number] if group not in known_groups})
        side = _side(component, cases, known_groups, new, regression_share, seed)
        found[side] += component
        if side != "":
            decided.update(dict.fromkeys(new, side))
    train, regression, aside = (tuple(sorted(found[name])) for name in ("train", "regression", ""))
    return Division(train, regression, aside, dict(sorted(decided.items())))


def known_sides(db: Database, task: str) -> dict[str, Side]:
    """Return the sides that are remembered for a task's groups."""
    query = select(CaseSideRow.group_key, CaseSideRow.side).where(CaseSideRow.task == task).order_by(CaseSideRow.id)
    with db.reading() as session:
        found: dict[str, Any] = {group: side for group, side in session.execute(query)}
    return found


def remember(db: Database, task: str, groups: Mapping[str, Side], *, at: datetime | None = None) -> None:
    """Write down the sides that were decided, at most 1,000 in a transaction; what is known already stays.

    They are written in their order: a kill leaves the first of them.

    Raises:
        FinetuneError: when another process decided otherwise meanwhile; divide again with `known_sides`.
    """
    names = list(groups)
    for start in range(0, len(names), _STEP_ROWS):
        step = names[start : start + _STEP_ROWS]
        with db.session() as session:
            query = select(CaseSideRow).where(CaseSideRow.task == task, CaseSideRow.group_key.in_(step))
            known = {row.group_key: row.side for row in session.scalars(query)}
            if any(known.get(name, groups[name]) != groups[name] for name in step):
                raise FinetuneError(
                    "a leak group was given to the other side meanwhile", where=task, mend="divide the cases again"
                )
            rows = (
                CaseSideRow(task=task, group_key=name, side=groups[name], at=at or utc_now())
                for name in step
                if name not in known
            )
            session.add_all(rows)


def _side(
    component: Iterable[int],
    cases: Mapping[int, Sequence[str]],
    known: Mapping[str, Side],
    new: Sequence[str],
    share: float,
    seed: int,
) -> Side | Literal[""]:
    sides = sorted({known[group] for number in component for group in cases[number] if group in known})
    if len(sides) > 1:
        return ""
    if sides:
        return "train" if sides[0] == "train" else "regression"
    return "regression" if unit_interval(digest_of_text(f"{seed}:{new[0]}")) < share else "train"


def _components(cases: Mapping[int, Sequence[str]], known: Mapping[str, Side]) -> list[list[int]]:
    """Return the cases that new groups tie together; known groups have their side already and tie nothing."""
    parent = {number: number for number in sorted(cases)}

    def root(number: int) -> int:
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    first: dict[str, int] = {}
    for number in parent:
        for group in cases[number]:
            if group in known:
                continue
            one, other = root(first.setdefault(group, number)), root(number)
            parent[max(one, other)] = min(one, other)
    members: dict[int, list[int]] = defaultdict(list)
    for number in parent:
        members[root(number)].append(number)
    return list(members.values())
