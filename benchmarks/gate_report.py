"""CPU seconds of a full gate report: marking, comparison, gates, report and its Markdown, without inference.

    python benchmarks/gate_report.py [--rows 10000] [--slices 20] [--task transcription] [--profile]

Target: 10,000 rows, 20 slices and 3 candidates in less than 10 s, for each task type. Rows are made up from a seed; an
answer is the right one, another row's, the right one with some words lost, or no answer. Reading the answers is not
timed: it is done while they come.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import os
import pstats
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # the target is one core's; idle threads of a library spin

from finetune_assets.datasets.synthetic.router import valid_traces
from finetune_assets.evaluation.answers import GivenAnswer, given_texts, score_answers
from finetune_assets.evaluation.config import CriticalConfig, GateConfig, PerSampleConfig
from finetune_assets.evaluation.report.build import Contender, ReportContext, build_report, judge, report_markdown
from finetune_assets.records.example import Example, RawRecord, SourceRef
from finetune_assets.records.task_type import TaskType
from finetune_assets.task_types import build_task_type

TARGET, CANDIDATES = 10.0, 3
WORDS = [f"{first}{last}" for first in ("ar", "be", "ci", "do", "fu", "ka", "lo") for last in ("mal", "nes", "tor")]
TOOLS = [{"name": name} for name in ("math", "code", "general-search")]
JAVA = """
/** Keeps the {one} of {two} in order, row {number}. */
public class {name}{number} {{
    /** Adds what came in to the {one} and says what is open then, number {number}. */
    public int add{name}(String who, int cents) {{
        int open{number} = this.sums.getOrDefault(who, 0);
        this.sums.put(who, open{number} + cents);
        return open{number} + cents;
    }}
}}
"""

Records = Iterator[dict[str, Any]]


def text(chosen: random.Random, least: int, most: int) -> str:
    return " ".join(chosen.choices(WORDS, k=chosen.randint(least, most)))


def observations(chosen: random.Random) -> Records:
    for number in range(10**9):
        noted, label = f"{text(chosen, 10, 20)} {number}", f"label_{chosen.randrange(40)}"
        yield {"record_id": f"o{number}", "text": noted, "label": label}


def transcripts(chosen: random.Random) -> Records:
    for number in range(10**9):
        said = f"{text(chosen, 5, 30)} {number}"
        yield {"original_transcript": shortened(said, chosen), "corrected_transcript": said}


def questions(chosen: random.Random) -> Records:
    for number in range(10**9):
        answer = f"{text(chosen, 20, 120)} {number}"
        yield {
            "question": f"{text(chosen, 5, 12)} {number}?",
            "answer": answer,
            "expected_keywords": answer.split()[:3],
        }


def sources(chosen: random.Random) -> Records:
    for number in range(10**9):
        one, two = chosen.sample(WORDS, 2)
        code = JAVA.format(one=one, two=two, name=one.capitalize(), number=number)
        yield {"text": code, "language": "java", "path": f"{one}{number}.java"}


def plans(chosen: random.Random) -> Records:
    yield from valid_traces(0, 10_000)


KINDS: dict[str, tuple[dict[str, Any], Callable[[random.Random], Records]]] = {
    "classification": ({"taxonomy": "taxonomy.json"}, observations),
    "transcription": ({}, transcripts),
    "question_answering": ({}, questions),
    "source_code": ({"min_body_length": 10}, sources),
    "routing": ({"records": "traces", "tools": TOOLS}, plans),
}


def shortened(words: str, chosen: random.Random) -> str:
    """Return a text with one word in eight lost."""
    return " ".join(word for word in words.split(" ") if chosen.random() > 0.125)


def make_task(kind: str) -> TaskType:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "taxonomy.json").write_text(json.dumps({"labels": [f"label_{item}" for item in range(40)]}))
        return build_task_type(kind, KINDS[kind][0], Path(folder))


def make_examples(kind: str, task: TaskType, rows: int, slices: int) -> list[Example]:
    """Return made-up examples, each in one of the slices; a few are critical."""
    found: dict[str, Example] = {}
    for line, record in enumerate(KINDS[kind][1](random.Random(1)), start=1):
        for item in task.examples(RawRecord(record, SourceRef("rows.jsonl", line=line))):
            if isinstance(item, Example):
                named = (f"slice_{len(found) % (slices - 1):02d}", *(("critical",) if len(found) % 50 == 0 else ()))
                found.setdefault(item.example_id, replace(item, slices=named))
        if len(found) >= rows:
            break
    return list(found.values())[:rows]


def answer(example: Example, other: Example, right: float, chosen: random.Random) -> str:
    draw = chosen.random()
    if draw < right:
        return example.target
    if draw < right + 0.02:
        return ""
    return other.target if draw < 0.95 else shortened(example.target, chosen)


def answers(examples: list[Example], task: TaskType, right: float, seed: int) -> list[GivenAnswer]:
    chosen = random.Random(seed)
    others = chosen.sample(examples, len(examples))
    texts = [answer(item, other, right, chosen) for item, other in zip(examples, others, strict=True)]
    return given_texts(examples, texts, task)


def config_of(task: TaskType) -> GateConfig:
    """Return a configuration with every kind of gate on rows, and limits on two figures for each of five slices."""
    first = task.measures[0]
    limits = {first.name: 0.5}
    by_slice = {f"slice_{number:02d}": limits for number in range(5)}
    side = {"floor": limits, "floor_by_slice": by_slice}
    if not first.higher_is_better:
        side = {"ceiling": limits, "ceiling_by_slice": by_slice}
    return GateConfig.model_validate(
        {"critical": CriticalConfig.model_validate({}), "per_sample": PerSampleConfig.model_validate({}), **side}
    )


def work(examples: list[Example], task: TaskType, given: list[list[GivenAnswer]]) -> int:
    """Judge three candidates against one baseline and write their reports; returns the characters written."""
    rivals, candidates = given[:2], given[2:]
    # What every candidate is held against is marked once.
    baseline, trivial = (score_answers(examples, rows, task) for rows in rivals)
    config, context = config_of(task), ReportContext("made_up", task.label_levels)
    written = 0
    for number, rows in enumerate(candidates):
        judgement = judge(examples, rows, baseline, config, task, trivial={"majority": trivial})
        report = build_report(
            context, judgement, Contender(f"candidate {number}", rows), Contender("base", rivals[0]), config
        )
        written += len(report_markdown(report)) + len(json.dumps(report))
    return written


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--slices", type=int, default=20)
    parser.add_argument("--task", choices=sorted(KINDS), action="append")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    met = True
    print(f"{options.rows:,} rows, {options.slices} slices, {CANDIDATES} candidates")
    for kind in options.task or KINDS:
        task = make_task(kind)
        examples = make_examples(kind, task, options.rows, options.slices)
        given = [answers(examples, task, right, seed) for seed, right in enumerate((0.6, 0.2, 0.7, 0.65, 0.55))]
        work(examples[:100], task, [rows[:100] for rows in given])  # imports what it needs
        profile = cProfile.Profile(time.process_time) if options.profile else None
        started, wall = time.process_time(), time.perf_counter()
        if profile:
            profile.enable()
        work(examples, task, given)
        if profile:
            profile.disable()
        spent = time.process_time() - started
        print(f"{kind:<20}{spent:>7.1f} CPU-s{time.perf_counter() - wall:>8.1f} s", flush=True)
        met &= spent < TARGET
        if profile:
            pstats.Stats(profile).sort_stats("cumulative").print_stats(45)
    print(f"target {TARGET:.0f} CPU-s: {'met' if met else 'MISSED'}")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
