"""How far two who judged the same things agree: plainly, with its lower bound, and beyond chance (Cohen's kappa)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from finetune_assets.evaluation.statistics.exact import wilson_interval


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far two judges agree.

    Attributes:
        rows: things that both judged.
        agreed: those on which they said the same.
        share: agreed over rows; None without rows.
        lower: lower bound of the share (Wilson, 95 %); 0 without rows.
        kappa: Cohen's kappa (Educational and Psychological Measurement 20, 1960), at most 1 and 0 for chance; None
            where it is not defined: fewer than two rows, or only one verdict that ever occurs.
    """

    rows: int
    agreed: int
    share: float | None
    lower: float
    kappa: float | None

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return asdict(self)


def measure_agreement(
    one: Sequence[str | int | bool],
    other: Sequence[str | int | bool],
    *,
    scale: Sequence[int] | None = None,
    weights: Literal["quadratic"] | None = None,
) -> Agreement:
    """Hold two judges' verdicts against each other, thing by thing.

    Args:
        one: verdicts of the first, all of one kind.
        other: verdicts of the second on the same things.
        scale: every value that may occur, in order, where verdicts are ratings; weights go by places in it.
        weights: `quadratic` lets a near miss of a rating count as half right, None counts equal verdicts alone.

    Returns:
        The agreement.
    """
    if len(one) != len(other):
        raise ValueError(f"{len(one)} verdicts and {len(other)} verdicts")
    rows = len(one)
    agreed = sum(a == b for a, b in zip(one, other, strict=True))
    share = agreed / rows if rows else None
    lower = wilson_interval(agreed, rows)[0]
    return Agreement(rows, agreed, share, lower, _kappa(one, other, scale, weights))


def _kappa(
    one: Sequence[str | int | bool],
    other: Sequence[str | int | bool],
    scale: Sequence[int] | None,
    weights: str | None,
) -> float | None:
    if len(one) < 2 or len({*one, *other}) < 2:
        return None
    from sklearn.metrics import cohen_kappa_score

    return float(
        cohen_kappa_score(list(one), list(other), labels=None if scale is None else list(scale), weights=weights)
    )
