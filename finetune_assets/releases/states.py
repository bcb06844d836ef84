"""The states of a release and the steps between them."""

from __future__ import annotations

from typing import Literal, get_args

ReleaseState = Literal[
    "candidate", "validated", "approved", "shadow", "canary", "live", "retired", "rejected", "rolled_back"
]
STATES: tuple[str, ...] = get_args(ReleaseState)

TRANSITIONS: dict[str, frozenset[str]] = {
    # A candidate stays one while its verdict is INCONCLUSIVE. Every later state goes back to `candidate` when a new
    # report judges it anew; what was decided on the old report does not hold for the new one.
    # Only a person takes it on from there; see `rows.refuse_open_verdict`.
    "candidate": frozenset({"validated", "approved", "rejected"}),
    "validated": frozenset({"approved", "rejected", "candidate"}),
    "approved": frozenset({"shadow", "canary", "rejected", "candidate"}),
    "shadow": frozenset({"canary", "rejected", "candidate"}),
    "canary": frozenset({"rejected", "rolled_back", "candidate"}),
    "live": frozenset(),
    "retired": frozenset({"candidate"}),
    "rejected": frozenset({"candidate"}),
    # `approved` needs a person who approved after the rollback; see `rows.refuse_withdrawn`.
    "rolled_back": frozenset({"candidate", "approved"}),
}
"""Steps that `Registry.transition` takes. Into `live` and out of it only `Registry.move_pointer` leads, so that the
state and the pointer never disagree."""

DEPLOYABLE = frozenset({"approved", "shadow", "canary"})
"""States from which a deploy makes a release live."""


def may_become(state: str, target: str) -> bool:
    """Return True when `Registry.transition` takes a release from `state` to `target`."""
    return target in TRANSITIONS.get(state, frozenset())
