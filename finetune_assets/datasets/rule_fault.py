"""RuleFault: a rule that a record's content breaks, before anybody made a rejection of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RuleFault:
    """One breach.

    Attributes:
        reason: the rule's name, a quarantine reason.
        field: the field at fault; an item of a list with its 1-based place, as `todo_list[3]`.
        found: what was found, without more of the text than the rule needs.
        expected: what would have been right.
    """

    reason: str
    field: str
    found: str
    expected: str
