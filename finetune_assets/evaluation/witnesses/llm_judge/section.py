"""The judge's section of a report: what it said, how far it may be trusted, and whether it may decide anything.

Counts, figures and record ids alone; no text of a question, an answer or a verdict.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from finetune_assets.evaluation.engine import Completion
from finetune_assets.evaluation.statistics.agreement import measure_agreement
from finetune_assets.evaluation.statistics.exact import mcnemar_exact, wilson_interval
from finetune_assets.evaluation.statistics.resampling import bootstrap_gain
from finetune_assets.evaluation.statistics.score_interval import score_difference
from finetune_assets.evaluation.witnesses.llm_judge.plan import JudgePlan, Probe, steering_rows
from finetune_assets.evaluation.witnesses.llm_judge.prompt import HIGHEST, LOWEST, PROMPT_VERSION
from finetune_assets.evaluation.witnesses.llm_judge.verdict import Vote, read_vote
from finetune_assets.evaluation.witnesses.llm_judge.votes import (
    PairCount,
    count_pair,
    mean_scores,
    middle_scores,
    settled,
    votes_of,
)
from finetune_assets.records.measure import Measure

CONFIDENCE = 0.90
# A blocking verdict on fewer rows, or with more rows left open, decides nothing.
FEWEST_ROWS = 30
MOST_UNDECIDED = 0.1
_SHOWN = 20
_RESAMPLES = 2000


def judge_section(plan: JudgePlan, completions: Mapping[str, Completion], judge: Mapping[str, Any]) -> dict[str, Any]:
    """Return the section of the report.

    Args:
        plan: what was asked.
        completions: what came back, by `Call.key`; a call without one is an unusable vote.
        judge: the judging model's identity.

    Returns:
        JSON. `standing` is `blocking` only where YAML asks for it, people were agreed with above the bar, and no
        planted text won; `verdict` (PASS, FAIL, INCONCLUSIVE) is None while the judge only advises. Where YAML asks
        for a gate that the judge is not fit for, `verdict` is INCONCLUSIVE.
    """
    pairwise = plan.config.mode == "pairwise"
    steered = steering_rows(plan)
    human = _human_pairs(plan, completions) if pairwise else _human_ratings(plan, completions)
    result = _pair_result(plan, completions) if pairwise else _rubric_result(plan, completions)
    section = {
        "mode": plan.config.mode,
        "judge": dict(judge),
        "prompt_version": PROMPT_VERSION,
        "criteria": [criterion.name for criterion in plan.config.criteria],
        "votes_per_row": plan.config.votes,
        "rows": len(plan.rows),
        "of_rows": plan.of_rows,
        "calls": plan.calls,
        "votes": _vote_counts(plan, completions),
        "result": result,
        "human": {
            **human,
            "bar": plan.config.min_agreement,
            "kappa_bar": plan.config.min_kappa,
            "verdicts": plan.human.given,
            "findings": [finding.to_json() for finding in plan.human.findings[:_SHOWN]],
            "findings_in_all": len(plan.human.findings),
        },
        "probes": _probe_counts(plan.probes, completions),
        "steering_rows": {"rows": len(steered), "records": steered[:_SHOWN]},
        "cut_rows": sum(_is_cut(plan, index) for index in range(len(plan.rows))),
        "blocking_asked": plan.config.blocking,
        "max_loss": plan.config.max_loss,
    }
    return {**section, **_standing(plan, section)}


def _pair_result(plan: JudgePlan, completions: Mapping[str, Completion]) -> dict[str, Any]:
    counts: list[PairCount] = []
    outcomes: Counter[str] = Counter()
    without: Counter[str] = Counter()
    lost: list[str] = []
    for row, calls in zip(plan.rows, plan.votes, strict=True):
        known = settled(row)
        count = count_pair(votes_of(calls, completions)) if known is None else None
        if count is not None:
            counts.append(count)
        outcome = count.outcome if count is not None else (known or ("tie", ""))[0]
        outcomes[outcome] += 1
        if known is not None:
            without[known[1]] += 1
        if outcome == "theirs":
            lost.append(row.record_id)
    wins, losses, rows = outcomes["ours"], outcomes["theirs"], len(plan.rows)
    test = mcnemar_exact(wins, losses)
    interval = score_difference(wins, losses, rows, confidence=CONFIDENCE)
    return {
        "wins": wins,
        "losses": losses,
        "ties": outcomes["tie"],
        "undecided": outcomes["undecided"],
        "without_call": dict(sorted(without.items())),
        "difference": (wins - losses) / rows if rows else None,
        "interval": list(interval),
        "confidence": CONFIDENCE,
        "p_better": test.p_better,
        "p_worse": test.p_worse,
        "position": _position(counts),
        "lost_records": lost[:_SHOWN],
    }


def _position(counts: Sequence[PairCount]) -> dict[str, Any]:
    named = sum(count.ours + count.theirs for count in counts)
    first = sum(count.first for count in counts)
    return {
        "votes": named,
        "for_first": first,
        "share_first": first / named if named else None,
        "interval": list(wilson_interval(first, named)),
        "rounds": sum(count.rounds for count in counts),
        "contradicted": sum(count.contradicted for count in counts),
    }


def _rubric_result(plan: JudgePlan, completions: Mapping[str, Completion]) -> dict[str, Any]:
    criteria = [criterion.name for criterion in plan.config.criteria]
    pairs: list[tuple[dict[str, float], dict[str, float]]] = []
    for row, calls in zip(plan.rows, plan.votes, strict=True):
        votes = votes_of(calls, completions)
        ours = mean_scores([vote for side, vote in votes if side == 0], criteria, row.ours)
        second = 0 if row.ours == row.theirs else 1
        theirs = mean_scores([vote for side, vote in votes if side == second], criteria, row.theirs)
        if ours is not None and theirs is not None:
            pairs.append((ours, theirs))
    confidence = 1.0 - (1.0 - CONFIDENCE) / len(criteria)
    return {
        "judged": len(pairs),
        "undecided": len(plan.rows) - len(pairs),
        "confidence": confidence,
        "criteria": {name: _criterion(name, pairs, confidence, plan.config.seed) for name in criteria},
    }


def _criterion(
    name: str, pairs: Sequence[tuple[dict[str, float], dict[str, float]]], confidence: float, seed: int
) -> dict[str, Any]:
    if not pairs:
        return {"ours": None, "theirs": None, "difference": None, "interval": None}
    import numpy as np

    # The scale as a share, so that max_loss means the same for every criterion.
    ours, theirs = (
        np.array([[(pair[side][name] - LOWEST) / (HIGHEST - LOWEST), 1.0] for pair in pairs]) for side in (0, 1)
    )
    measure = Measure(name, name, "mean")
    interval = bootstrap_gain(measure, ours, theirs, confidence=confidence, resamples=_RESAMPLES, seed=seed)
    means = [float(values[:, 0].mean()) for values in (ours, theirs)]
    return {
        "ours": LOWEST + means[0] * (HIGHEST - LOWEST),
        "theirs": LOWEST + means[1] * (HIGHEST - LOWEST),
        "difference": means[0] - means[1],
        "interval": list(interval),
    }


def _human_pairs(plan: JudgePlan, completions: Mapping[str, Completion]) -> dict[str, Any]:
    names = {0: "ours", 1: "theirs", None: "tie"}
    said = [count_pair(votes_of(calls, completions)).outcome for calls in plan.human_votes]
    people = [names[pair.winner] for pair in plan.human.pairs]
    # An undecided judge says something that no person says: it counts as disagreement.
    agreement = measure_agreement(said, people)
    return {
        "agreement": agreement.to_json(),
        "lower": agreement.lower if agreement.rows else None,
        "kappa": agreement.kappa,
    }


def _human_ratings(plan: JudgePlan, completions: Mapping[str, Completion]) -> dict[str, Any]:
    criteria = [criterion.name for criterion in plan.config.criteria]
    rows = [
        (middle_scores([vote for _, vote in votes_of(calls, completions)], criteria), rating.scores)
        for calls, rating in zip(plan.human_votes, plan.human.ratings, strict=True)
    ]
    parts = {}
    for name in criteria:
        # 0 stands for "no verdict", which agrees with nobody.
        said = [0 if judged is None else judged[name] for judged, _ in rows]
        people = [scores[name] for _, scores in rows]
        agreement = measure_agreement(said, people, scale=range(HIGHEST + 1), weights="quadratic")
        near = sum(judged > 0 and abs(judged - given) <= 1 for judged, given in zip(said, people, strict=True))
        parts[name] = {**agreement.to_json(), "within_one": near}
    lower = min(part["lower"] for part in parts.values()) if rows else None
    kappas = [part["kappa"] for part in parts.values()]
    return {"agreement": parts, "lower": lower, "kappa": None if None in kappas else min(kappas)}


def _probe_counts(probes: Sequence[Probe], completions: Mapping[str, Completion]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for probe in probes:
        votes = [vote for _, vote in votes_of([(0, call) for call in probe.calls], completions)]
        if any(vote.problem for vote in votes):
            counts["unusable"] += 1
        else:
            counts["won" if _is_won(probe, votes) else "held"] += 1
    return {"asked": len(probes), "held": counts["held"], "won": counts["won"], "unusable": counts["unusable"]}


def _is_won(probe: Probe, votes: Sequence[Vote]) -> bool:
    if len(votes) == 1:
        return votes[0].winner == probe.place
    clean, planted = votes
    return any(planted.scores[name] > score for name, score in clean.scores.items())


def _vote_counts(plan: JudgePlan, completions: Mapping[str, Completion]) -> dict[str, Any]:
    problems = Counter(
        read_vote(call, completions[call.key]).problem if call.key in completions else "missing"
        for call in plan.all_calls()
    )
    usable = problems.pop("", 0)
    return {
        "asked": plan.calls,
        "usable": usable,
        "unusable": problems.total(),
        "by_problem": dict(sorted(problems.items())),
    }


def _is_cut(plan: JudgePlan, index: int) -> bool:
    row = plan.rows[index]
    texts = (row.question.text, row.question.reference, row.ours, row.theirs)
    return any(len(text) > plan.config.max_characters for text in texts)


def _standing(plan: JudgePlan, section: Mapping[str, Any]) -> dict[str, Any]:
    why_not = _why_advisory(section)
    fit = not why_not
    if not plan.config.blocking:
        reason = why_not or "its agreement with people is above the bar, but YAML does not ask for a gate (blocking)"
        return {"fit": fit, "standing": "advisory", "standing_reason": reason, "verdict": None, "verdict_reason": ""}
    if not fit:
        return {
            "fit": False,
            "standing": "advisory",
            "standing_reason": why_not,
            "verdict": "INCONCLUSIVE",
            "verdict_reason": f"YAML asks for a blocking judge, but {why_not}",
        }
    verdict, reason = _verdict(plan, section["result"])
    standing = "agreement with people is above the bar and no planted text won"
    return {
        "fit": True,
        "standing": "blocking",
        "standing_reason": standing,
        "verdict": verdict,
        "verdict_reason": reason,
    }


def _why_advisory(section: Mapping[str, Any]) -> str:
    lower, bar, probes = section["human"]["lower"], section["human"]["bar"], section["probes"]
    if lower is None:
        return "its agreement with people was not measured"
    if lower < bar:
        return f"the lower bound of its agreement with people is {lower:.3f}, below the bar of {bar:.3f}"
    kappa, kappa_bar = section["human"]["kappa"], section["human"]["kappa_bar"]
    if kappa is None:
        return "people and judge say the same of every row, so that agreement beyond chance cannot be told"
    if kappa < kappa_bar:
        return f"its kappa with people is {kappa:.3f}, below the bar of {kappa_bar:.3f}"
    if not probes["asked"]:
        return "nobody tried to mislead it (hijack_probes)"
    if probes["won"]:
        return f"texts planted in answers won it over in {probes['won']} of {probes['asked']} attempts"
    if 2 * probes["unusable"] >= probes["asked"]:
        return f"{probes['unusable']} of {probes['asked']} attempts to mislead it gave no verdict"
    return ""


def _verdict(plan: JudgePlan, result: Mapping[str, Any]) -> tuple[str, str]:
    rows, open_rows, limit = len(plan.rows), result["undecided"], plan.config.max_loss
    if rows < FEWEST_ROWS:
        return "INCONCLUSIVE", f"{rows} rows were judged, at least {FEWEST_ROWS} are needed"
    if open_rows > MOST_UNDECIDED * rows:
        return "INCONCLUSIVE", f"{open_rows} of {rows} rows have no verdict, at most a tenth may"
    parts = {"the comparison": result} if plan.config.mode == "pairwise" else result["criteria"]
    lows = {name: part["interval"][0] for name, part in parts.items()}
    highs = {name: part["interval"][1] for name, part in parts.items()}
    for name, high in highs.items():
        if high < -limit:
            return "FAIL", f"{name}: the candidate is worse by more than {limit:.3f} (at best {high:+.3f})"
    worst = min(lows, key=lambda name: (lows[name], name))
    if lows[worst] < -limit:
        return "INCONCLUSIVE", f"{worst}: a loss of more than {limit:.3f} is not excluded (at worst {lows[worst]:+.3f})"
    return "PASS", f"a loss of more than {limit:.3f} is excluded (at worst {lows[worst]:+.3f})"
