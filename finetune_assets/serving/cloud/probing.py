"""Probing one of several models behind an endpoint: recorded questions, asked until that very model has answered them.

An endpoint draws who answers by the traffic split. With 10 % of it a model answers every tenth question, so that each
recorded question is asked again until the candidate's answer came.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

from finetune_assets.evaluation.engine import Completion, Engine
from finetune_assets.records.task_type import TaskType
from finetune_assets.releases.manifest import Probe, ProbeRule
from finetune_assets.serving.probe import ProbeEvidence, ProbeResult, difference

_MOST_TRIES = 1000


def tries_for(percent: int, probes: int, *, doubt: float = 1e-6) -> int:
    """Return how often each probe has to be asked so that a share of the traffic leaves none out.

    Args:
        percent: the candidate's share of the traffic, 1 to 100.
        probes: recorded questions.
        doubt: probability that at least one of them never meets the candidate, above 0.

    Returns:
        Tries for each probe, at most 1,000.
    """
    if percent >= 100:
        return 1
    missed = math.log(doubt / max(1, probes)) / math.log(1 - percent / 100)
    return min(_MOST_TRIES, math.ceil(missed))


def probe_deployed(
    engine: Engine,
    task_type: TaskType,
    probes: Sequence[Probe],
    deployed_model_id: str,
    *,
    task: str,
    candidate: str,
    rule: ProbeRule = "label",
    tries: int = 150,
) -> ProbeEvidence:
    """Ask an endpoint recorded questions until the candidate's deployed model has answered each.

    Args:
        engine: asks the endpoint; its completions say who answered (`served_by`).
        task_type: asks the probes' questions and reads the answers.
        probes: recorded questions with their answers.
        deployed_model_id: who has to answer; "" where the endpoint holds one model only.
        task: the task, for the evidence.
        candidate: the candidate, for the evidence.
        rule: when a live answer agrees with the recorded one.
        tries: how often each probe is asked at the most; see `tries_for`.

    Returns:
        What was found; a probe that the candidate never answered is a failed one.

    Raises:
        FinetuneError: when the endpoint can answer nothing at all.
    """
    questions = [task_type.input_messages(probe.fields) for probe in probes]
    answered: dict[int, tuple[Completion, float]] = {}
    last: dict[int, Completion] = {}
    for _ in range(tries):
        waiting = [position for position in range(len(probes)) if position not in answered]
        if not waiting:
            break
        began = time.perf_counter()
        for position, completion in zip(
            waiting, engine.complete([questions[position] for position in waiting]), strict=True
        ):
            last[position] = completion
            if completion.ok and deployed_model_id in ("", completion.served_by):
                took = completion.latency_s or (time.perf_counter() - began) / len(waiting)
                answered[position] = (completion, took)
    results = []
    for position, probe in enumerate(probes):
        if position in answered:
            completion, took = answered[position]
            results.append(_judged(task_type, probe, position, completion, took, rule, candidate))
        else:
            results.append(_unanswered(task_type, probe, position, last.get(position), tries))
    return ProbeEvidence(task, candidate, tuple(results))


def _judged(
    task_type: TaskType,
    probe: Probe,
    position: int,
    completion: Completion,
    took: float,
    rule: ProbeRule,
    candidate: str,
) -> ProbeResult:
    recorded, found = task_type.parse(probe.text), task_type.parse(completion.text)
    expected = probe.label_path or recorded.label_path
    path = found.label_path if found.valid else ()
    problem = difference(
        rule,
        recorded,
        expected,
        path,
        valid=found.valid,
        same=(found.value, found.valid) == (recorded.value, recorded.valid),
    )
    return ProbeResult(position, not problem, expected, path, candidate, problem, round(took * 1000, 3))


def _unanswered(task_type: TaskType, probe: Probe, position: int, last: Completion | None, tries: int) -> ProbeResult:
    expected = probe.label_path or task_type.parse(probe.text).label_path
    if last is None or last.ok:
        other = f"; deployed model {last.served_by} did" if last is not None and last.served_by else ""
        problem = f"the candidate answered none of {tries} tries{other}"
    else:
        problem = f"no answer: {last.problem}"
    return ProbeResult(position, False, expected, (), "", problem, 0.0)
