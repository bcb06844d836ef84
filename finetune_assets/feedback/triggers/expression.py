"""The tree of `all` and `any` over rules, with three values: holds, fails, cannot be told (Kleene)."""

from __future__ import annotations

from collections.abc import Mapping

from finetune_assets.feedback.triggers.finding import Finding, State
from finetune_assets.feedback.triggers.policy import AllOf, AnyOf, Expression, RuleName, parts_of


def evaluate(expression: Expression, findings: Mapping[RuleName, Finding]) -> State:
    """Return whether an expression holds, given what its rules say.

    `all` fails as soon as one part fails and `any` holds as soon as one holds, whatever cannot be told beside it.
    """
    if not isinstance(expression, AllOf | AnyOf):
        return findings[expression].state
    states = {evaluate(part, findings) for part in parts_of(expression)}
    decisive: State = "fails" if isinstance(expression, AllOf) else "holds"
    if decisive in states:
        return decisive
    if "unknown" in states:
        return "unknown"
    return "holds" if isinstance(expression, AllOf) else "fails"


def holding(expression: Expression, findings: Mapping[RuleName, Finding]) -> tuple[RuleName, ...]:
    """Return the rules by which an expression holds, each once; none where it does not hold."""
    if evaluate(expression, findings) != "holds":
        return ()
    if not isinstance(expression, AllOf | AnyOf):
        return (expression,)
    return tuple(dict.fromkeys(rule for part in parts_of(expression) for rule in holding(part, findings)))


def written(expression: Expression) -> str:
    """Return an expression as a person reads it: (error_cases or (label_drift and corrected_cases))."""
    if not isinstance(expression, AllOf | AnyOf):
        return expression
    joined = " and " if isinstance(expression, AllOf) else " or "
    parts = [written(part) for part in parts_of(expression)]
    return parts[0] if len(parts) == 1 else f"({joined.join(parts)})"
