"""Further witnesses of a report: the label court, ratings by people, and a judging model.

They advise. Only a judging model may stop a release, and only where YAML asks for it and its agreement with people was
measured.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from finetune_assets.evaluation.answer_store import finish_store
from finetune_assets.evaluation.answers import GivenAnswer, score_answers
from finetune_assets.evaluation.config import GateConfig
from finetune_assets.evaluation.gates.evidence import GateResult
from finetune_assets.evaluation.report.build import Contender as Judged
from finetune_assets.evaluation.witnesses.label_court import LabelEvidence, court_markdown, court_section
from finetune_assets.evaluation.witnesses.llm_judge.config import LlmJudgeConfig
from finetune_assets.evaluation.witnesses.llm_judge.human_verdicts import HumanVerdicts, read_human_verdicts
from finetune_assets.evaluation.witnesses.llm_judge.markdown import judge_markdown
from finetune_assets.evaluation.witnesses.llm_judge.plan import JudgePlan, plan_judging
from finetune_assets.evaluation.witnesses.llm_judge.section import judge_section
from finetune_assets.evaluation.witnesses.llm_judge.votes import ask_judge
from finetune_assets.evaluation.witnesses.manual_report import manual_markdown, manual_section
from finetune_assets.evaluation.witnesses.manual_scores import read_manual_scores
from finetune_assets.evaluation.witnesses.reference_doubts import reference_markdown, reference_section
from finetune_assets.lineage.asking import Room
from finetune_assets.lineage.contenders import Contender
from finetune_assets.lineage.quality_checks import suspect_rows
from finetune_assets.records.digests import digest_of, digest_of_file
from finetune_assets.records.example import Example
from finetune_assets.storage.artifacts import Artifact

CANDIDATE, BASELINE = "candidate", "baseline"
LLM_JUDGE = "llm_judge"


@dataclass(frozen=True)
class Witnesses:
    """What the further witnesses said.

    Attributes:
        sections: their parts of the report by name.
        gates: gates that they decide.
    """

    sections: dict[str, Any] = field(default_factory=dict)
    gates: tuple[GateResult, ...] = ()


def witness_files(folder: Path, config: GateConfig) -> dict[str, str]:
    """Return digests of the files that people wrote: other ratings are another report."""
    found = {}
    for name, place in (
        ("manual", config.manual_scores.file if config.manual_scores else ""),
        ("human", config.llm_judge.human_labels if config.llm_judge else ""),
    ):
        path = folder / place
        if place and path.is_file():
            found[name] = digest_of_file(path)
    return found


def hear(
    room: Room,
    test: Sequence[Example],
    models: Mapping[str, Judged],
    contenders: Mapping[str, Contender],
    trivial: Mapping[str, Sequence[GivenAnswer]],
    splits: Artifact,
) -> Witnesses:
    """Hear every witness that YAML names, and the label court, which costs nothing.

    Args:
        room: where questions are asked.
        test: the test rows.
        models: answers of `candidate` and `baseline`.
        contenders: who they are.
        trivial: answers of the trivial baselines.
        splits: the dataset version, for what its checks found on single labels.
    """
    sections: dict[str, Any] = {"label_court": _court(room, test, models, trivial, splits)}
    gates: list[GateResult] = []
    config = room.task.config.evaluation
    if config.manual_scores:
        sections["manual_scores"] = _manual(room, test, models, contenders)
    if config.llm_judge and config.llm_judge.enabled:
        section = _judge(room, config.llm_judge, test, models)
        sections[LLM_JUDGE] = section
        if section["verdict"] is not None:
            gates.append(GateResult(LLM_JUDGE, section["verdict"], None, None, section["verdict_reason"]))
    return Witnesses(sections, tuple(gates))


def _texts(judged: Judged) -> dict[str, str]:
    return {answer.example_id: answer.text for answer in judged.answers if answer.answered}


def _court(
    room: Room,
    test: Sequence[Example],
    models: Mapping[str, Judged],
    trivial: Mapping[str, Sequence[GivenAnswer]],
    splits: Artifact,
) -> dict[str, Any]:
    if room.task_type.choices() is None:
        section = reference_section(test, {name: _texts(judged) for name, judged in models.items()})
        return section | {"markdown": reference_markdown(section)}
    witnesses = {name: _paths(judged.answers) for name, judged in models.items()}
    # The majority class says the same of every row, so it is no witness of any.
    witnesses |= {name: _paths(answers) for name, answers in trivial.items() if name != "majority"}
    by_record = suspect_rows(room.task, splits)
    evidence = {
        example.example_id: LabelEvidence(row.get("self_confidence"), row.get("neighbours_agreeing"))
        for example in test
        if (row := by_record.get(example.record_id)) is not None
    }
    section = court_section(test, witnesses, evidence)
    return section | {"markdown": court_markdown(section)}


def _paths(answers: Sequence[GivenAnswer]) -> dict[str, tuple[str, ...]]:
    return {answer.example_id: answer.parsed.label_path if answer.parsed.valid else () for answer in answers}


def _manual(
    room: Room, test: Sequence[Example], models: Mapping[str, Judged], contenders: Mapping[str, Contender]
) -> dict[str, Any]:
    config = room.task.config.evaluation.manual_scores
    if config is None:
        return {}
    names = {name: name for name in models}
    names |= {model.candidate: name for name, model in contenders.items() if model.candidate}
    names |= {model.shown: name for name, model in contenders.items()}
    read = read_manual_scores(
        room.task.folder / config.file, config, {example.example_id: example.record_id for example in test}, names
    )
    marks = {name: _right(room, test, judged) for name, judged in models.items()}
    section = manual_section(read, marks, config, seed=room.task.config.evaluation.seed)
    return section | {"markdown": manual_markdown(section)}


def _right(room: Room, test: Sequence[Example], judged: Judged) -> dict[str, bool]:
    return {row.example_id: row.correct for row in score_answers(test, judged.answers, room.task_type)}


def _judge(room: Room, config: LlmJudgeConfig, test: Sequence[Example], models: Mapping[str, Judged]) -> dict[str, Any]:
    from finetune_assets.serving.engines.endpoints import endpoint_engine

    human = HumanVerdicts()
    if config.human_labels:
        human = read_human_verdicts(
            room.task.folder / config.human_labels, config.mode, [criterion.name for criterion in config.criteria]
        )
    plan: JudgePlan = plan_judging(config, test, _texts(models[CANDIDATE]), _texts(models[BASELINE]), human)
    room.say(plan.statement())
    if config.endpoint is None:
        return {}
    engine = endpoint_engine(config.endpoint, os.environ)
    key = digest_of({"judge": engine.identity, "calls": sorted(call.key for call in plan.all_calls())})[:20]
    store = room.task.home.work / "judge" / f"{key}.parquet"
    store.parent.mkdir(parents=True, exist_ok=True)
    try:
        done = ask_judge(
            plan, engine, store=store, on_progress=lambda made, total: room.say(f"judge: {made} of {total}")
        )
        finish_store(store, engine)
        section = judge_section(plan, done, engine.identity)
    finally:
        engine.close()
    return section | {"markdown": judge_markdown(section)}
