"""Reading the judge's verdict: only its own form counts, with the nonce of its own call.

A verdict without the nonce is somebody else's: of a text in the data that the judge repeats or obeys. It is counted,
and it decides nothing. Never raises.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from finetune_assets.evaluation.engine import Completion
from finetune_assets.evaluation.witnesses.llm_judge.prompt import HIGHEST, LOWEST, TIE, Call

REFUSED = "refused"
NO_VERDICT = "no_verdict"
WRONG_NONCE = "wrong_nonce"
CONTRADICTORY = "contradictory"
NOT_IN_FORM = "not_in_form"
TOO_LONG = "too_long"

# A verdict takes some 100 characters; nobody reads a novel for it.
_LONGEST = 20_000
# Verdicts are flat, so that one pass finds them whatever stands around.
_FLAT_OBJECT = re.compile(r"\{[^{}]*\}")
_REFUSAL = re.compile(r"\s*(?:I(?:['’]m| am) (?:sorry|unable)|Sorry|I can(?:no|['’])t|As an AI)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Vote:
    """What one call of the judge gave.

    Attributes:
        winner: place of the better answer as shown, 0 or 1; None for a tie, for a rubric and where there is no verdict.
        scores: a rubric's scores by criterion.
        problem: why it is no verdict: `refused`, `no_verdict`, `wrong_nonce`, `contradictory`, `not_in_form`,
            `too_long`, or the engine's code; "" for a verdict.
    """

    winner: int | None = None
    scores: dict[str, int] = field(default_factory=dict)
    problem: str = ""


def read_vote(call: Call, completion: Completion) -> Vote:
    """Read what the judge wrote to one call.

    Prose, code fences and foreign verdicts around the verdict are passed over. Two verdicts with the right nonce that
    say different things are none.

    Args:
        call: what was asked.
        completion: what came back.

    Returns:
        The vote; it has a `problem` unless the verdict is in form and carries the call's nonce.
    """
    if not completion.ok:
        return Vote(problem=completion.problem or NO_VERDICT)
    if len(completion.text) > _LONGEST:
        return Vote(problem=TOO_LONG)
    found = [value for text in _FLAT_OBJECT.findall(completion.text) if (value := _object(text)) is not None]
    own = [value for value in found if value.get("nonce") == call.nonce]
    if not own:
        return Vote(problem=_why_none(found, completion.text))
    if any(value != own[0] for value in own[1:]):
        return Vote(problem=CONTRADICTORY)
    return _pair_vote(own[0], call.names) if call.names else _rubric_vote(own[0], call.criteria)


def _why_none(found: Sequence[dict[str, Any]], text: str) -> str:
    if found:
        return WRONG_NONCE
    return REFUSED if _REFUSAL.match(text) else NO_VERDICT


def _pair_vote(value: dict[str, Any], names: Sequence[str]) -> Vote:
    winner = value.get("winner")
    if set(value) != {"nonce", "winner"} or winner not in (*names, TIE):
        return Vote(problem=NOT_IN_FORM)
    return Vote(winner=None if winner == TIE else names.index(winner))


def _rubric_vote(value: dict[str, Any], criteria: Sequence[str]) -> Vote:
    scores = {name: value.get(name) for name in criteria}
    sound = {name: score for name, score in scores.items() if type(score) is int and LOWEST <= score <= HIGHEST}
    if set(value) != {"nonce", *criteria} or len(sound) < len(criteria):
        return Vote(problem=NOT_IN_FORM)
    return Vote(scores=sound)


def _object(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ValueError("a key stands twice")
    return value
