"""Asking the judge, and counting its votes on each row.

Here belongs what becomes of completions; figures over rows are in `section.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from finetune_assets.evaluation.answer_store import append_completions, open_store
from finetune_assets.evaluation.engine import Completion, Engine
from finetune_assets.evaluation.witnesses.llm_judge.plan import Judged, JudgePlan
from finetune_assets.evaluation.witnesses.llm_judge.prompt import LOWEST, Call
from finetune_assets.evaluation.witnesses.llm_judge.verdict import Vote, read_vote
from finetune_assets.records.errors import FinetuneError

Outcome = Literal["ours", "theirs", "tie", "undecided"]
Reason = Literal["", "identical", "both_missing", "ours_missing", "theirs_missing"]
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class PairCount:
    """The votes on one pair of answers, "ours" being the one that was named first.

    Attributes:
        ours: votes for ours.
        theirs: votes for theirs.
        ties: votes for neither.
        unusable: votes without a verdict.
        first: votes for the answer that was shown first.
        rounds: rounds of both orders in which both votes named a winner.
        contradicted: those in which the two named different answers.
    """

    ours: int = 0
    theirs: int = 0
    ties: int = 0
    unusable: int = 0
    first: int = 0
    rounds: int = 0
    contradicted: int = 0

    @property
    def outcome(self) -> Outcome:
        """What more than half of all votes say; `undecided` when half of them or more are unusable, else a tie."""
        total = self.ours + self.theirs + self.ties + self.unusable
        if 2 * self.ours > total:
            return "ours"
        if 2 * self.theirs > total:
            return "theirs"
        return "undecided" if 2 * self.unusable >= total else "tie"


def ask_judge(
    plan: JudgePlan, engine: Engine, *, store: Path | None = None, on_progress: Progress | None = None
) -> dict[str, Completion]:
    """Make the calls that have no stored verdict yet.

    Args:
        plan: the calls; equal ones are made once.
        engine: the judging model.
        store: where its answers are kept as they come, for one engine (`answer_store`).
        on_progress: called with (verdicts there, calls in all).

    Returns:
        Completions by `Call.key`.

    Raises:
        FinetuneError: when the engine breaks its contract or cannot answer at all, or the store is another engine's.
    """
    calls = {call.key: call for call in plan.all_calls()}
    done: dict[str, Completion] = {}
    if store is not None:
        done = {key: value for key, value in open_store(store, engine).items() if key in calls}
    waiting = [key for key in calls if key not in done]
    for start in range(0, len(waiting), plan.config.batch_size):
        keys = waiting[start : start + plan.config.batch_size]
        answers = engine.complete([list(calls[key].messages) for key in keys])
        if len(answers) != len(keys):
            raise FinetuneError(
                "the engine broke its contract",
                found=f"{len(answers)} answers to {len(keys)} questions",
                expected="one answer for each question, in order",
                mend="repair the engine; its answers cannot be told apart",
            )
        new = dict(zip(keys, answers, strict=True))
        if store is not None:
            append_completions(store, new)
        done.update(new)
        if on_progress is not None:
            on_progress(len(done), len(calls))
    return done


def votes_of(calls: Iterable[tuple[int, Call]], completions: Mapping[str, Completion]) -> list[tuple[int, Vote]]:
    """Read the votes of one row; a call without a completion is an unusable vote."""
    missing = Completion.failed("missing")
    return [(side, read_vote(call, completions.get(call.key, missing))) for side, call in calls]


def count_pair(votes: Sequence[tuple[int, Vote]]) -> PairCount:
    """Count the votes on a pair.

    Args:
        votes: (place of "ours" as shown, vote), the two orders taking turns; exactly one of each in a round.
    """
    sides: list[str] = []
    for place_of_ours, vote in votes:
        if vote.problem:
            sides.append("unusable")
        elif vote.winner is None:
            sides.append("ties")
        else:
            sides.append("ours" if vote.winner == place_of_ours else "theirs")
    rounds = [pair for pair in zip(sides[::2], sides[1::2], strict=False) if set(pair) <= {"ours", "theirs"}]
    counts = Counter(sides)
    return PairCount(
        counts["ours"],
        counts["theirs"],
        counts["ties"],
        counts["unusable"],
        first=sum(vote.winner == 0 for _, vote in votes),
        rounds=len(rounds),
        contradicted=sum(one != other for one, other in rounds),
    )


def settled(row: Judged) -> tuple[Outcome, Reason] | None:
    """Return what needs no judge: a missing answer loses to one that is there, equal answers tie; else None."""
    ours, theirs = bool(row.ours.strip()), bool(row.theirs.strip())
    if not ours and not theirs:
        return "tie", "both_missing"
    if not ours:
        return "theirs", "ours_missing"
    if not theirs:
        return "ours", "theirs_missing"
    return ("tie", "identical") if row.ours == row.theirs else None


def middle_scores(votes: Sequence[Vote], criteria: Sequence[str]) -> dict[str, int] | None:
    """Return the middle score by criterion, the lower of two; None where half of the votes or more are unusable."""
    usable = [vote for vote in votes if not vote.problem]
    if 2 * len(usable) <= len(votes):
        return None
    return {name: sorted(vote.scores[name] for vote in usable)[(len(usable) - 1) // 2] for name in criteria}


def mean_scores(votes: Sequence[Vote], criteria: Sequence[str], text: str) -> dict[str, float] | None:
    """Return the mean score by criterion; the lowest for a missing answer, None where too few votes are usable."""
    if not text.strip():
        return {name: float(LOWEST) for name in criteria}
    usable = [vote for vote in votes if not vote.problem]
    if 2 * len(usable) <= len(votes):
        return None
    return {name: sum(vote.scores[name] for vote in usable) / len(usable) for name in criteria}
