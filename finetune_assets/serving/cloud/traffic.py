"""How an endpoint's traffic is split: whole percents that sum to 100. Pure arithmetic."""

from __future__ import annotations

from collections.abc import Mapping

from finetune_assets.tuning.cloud.errors import RejectedError

WHOLE = 100
NEWCOMER = "0"
"""What a split calls the model that is being deployed."""


def scaled(shares: Mapping[str, int], total: int) -> dict[str, int]:
    """Return shares in the same proportion that sum to `total`; whole numbers by the largest remainder.

    Args:
        shares: what each one has, 0 or more; all 0 counts as equal shares.
        total: what they shall have together, 0 to 100.

    Returns:
        The new shares, in the order of the ids; empty when there are none.
    """
    if not shares:
        return {}
    weights = dict(sorted(shares.items())) if any(shares.values()) else dict.fromkeys(sorted(shares), 1)
    whole = sum(weights.values())
    found = {key: total * weight // whole for key, weight in weights.items()}
    by_remainder = sorted(weights, key=lambda key: (-(total * weights[key] % whole), key))
    for key in by_remainder[: total - sum(found.values())]:
        found[key] += 1
    return found


def with_newcomer(current: Mapping[str, int], percent: int, *, newcomer: str = NEWCOMER) -> dict[str, int]:
    """Return the split in which a newcomer gets `percent` and the others keep their proportions.

    Args:
        current: percent by deployed model; what has none stays without.
        percent: 0 to 100. A newcomer to an endpoint that serves nothing gets all.
        newcomer: its key.
    """
    others = {key: share for key, share in current.items() if share > 0 and key != newcomer}
    if not others:
        return {newcomer: WHOLE} | {key: 0 for key in sorted(current) if key != newcomer}
    rest = scaled(others, WHOLE - percent)
    return {newcomer: percent} | {key: rest.get(key, 0) for key in sorted(current) if key != newcomer}


def without(current: Mapping[str, int], leaver: str) -> dict[str, int]:
    """Return the split after one has left: the others take its share in their proportions; {} when it was the last."""
    others = {key: share for key, share in current.items() if key != leaver}
    return scaled(others, WHOLE) if others else {}


def checked(split: Mapping[str, int], deployed: frozenset[str], where: str) -> dict[str, int]:
    """Return the split with a 0 for everybody whom it leaves out.

    Raises:
        RejectedError: when it names somebody who is not deployed, or does not sum to 100.
    """
    strangers = sorted(set(split) - deployed)
    if strangers:
        raise RejectedError(
            "traffic for a model that is not deployed",
            where=where,
            found=", ".join(strangers),
            expected=", ".join(sorted(deployed)) or "none is deployed",
            mend="deploy it first, or correct the id",
        )
    shares = list(split.values())
    if sum(shares) != WHOLE or min(shares, default=0) < 0:
        raise RejectedError(
            "a traffic split does not sum to 100",
            where=where,
            found=", ".join(f"{key}: {share}" for key, share in sorted(split.items())),
            expected="percents of 0 or more that sum to 100",
            mend="correct the percents",
        )
    return {key: split.get(key, 0) for key in sorted(deployed)}
