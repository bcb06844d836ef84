"""The synthetic routing traces: the shipped sample of the router task. About nobody's real question.

Each trace keeps every rule of `datasets/traces/rules.py`; about one in twenty is broken on purpose, each in another way
(`router_flaws.py`). Everything is a pure function of the seed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from finetune_assets.datasets.synthetic.router_flaws import FLAWS
from finetune_assets.datasets.synthetic.router_words import DATA, DEMANDS, OPENINGS, SEARCHES, SUBJECTS, WISHES, Subject
from finetune_assets.datasets.synthetic.texts import Draw
from finetune_assets.datasets.traces.config import FILLER, TraceRulesConfig
from finetune_assets.datasets.traces.fields import DIFFICULTIES, TRACE_FIELDS
from finetune_assets.datasets.traces.quality import trace_quality

SAMPLE_SEED = 2025
"""The seed of the sample that ships with the project."""

TRACES = 600
"""Traces that keep every rule."""

ROUTES = (
    ("general-search", "math", "code", "math"),
    ("math", "general-search", "code"),
    ("math", "code", "general-search"),
    ("general-search", "code", "math"),
    ("code", "math"),
    ("math", "code"),
    ("general-search", "math", "code"),
)
"""Seven routes, taken in turn."""

_DISORDERLY = 0.03
_FILLED = 0.04
_OWN_METRICS = ("Report {metric} with a 95 % interval over ten seeds.", "Seconds and peak memory of {program}.")
_STEPS = {
    "math": (
        "Derive {result} for {name}, stating every assumption and the range in which it holds.",
        "Check the numbers of the program against the derivation of {result} and explain each difference.",
    ),
    "code": (
        "Write {program} for {name}, run it {data} and record {metric}, using Python",
        "Repeat the runs of {program} with other seeds and summarise {metric}, using Python",
    ),
}
_TODOS = {
    "math": (
        "Derive {result} and list its assumptions.",
        "Check two special cases of {result} by hand.",
        "Verify the measured {metric} against the derivation.",
    ),
    "code": (
        "Program {program} with a fixed seed.",
        "Test {program} on an input with a known answer.",
        "Validate {metric} over ten seeds.",
    ),
    "general-search": (
        "Find two surveys on {name} and note where they disagree.",
        "Confirm each citation at its source.",
        "Compare published values of {metric} with ours.",
    ),
}
_REASONS = {
    "math": "/math derives {result}, so that the program has something to be held against",
    "code": "/code turns it into {program} and measures {metric}",
    "general-search": "the blue /general-search agent gathers what is known about {name}",
}
_ARTIFACTS = (
    "A two-page derivation of {result} in LaTeX.",
    "A Python script with {program} and its tests.",
    "A plot of {metric} with intervals.",
    "A list of the sources that were used, with links.",
    "A JSON file with {metric} of every run.",
    "A notebook that a reader can run from top to bottom.",
    "A table that sets {metric} beside what others published.",
    "A page on what would make the result wrong.",
    "A log of every seed and version.",
)
_THOUGHTS = (
    "Say what is asked about {name} and what is not.",
    "Derive {result} for the simplest case, then in general.",
    "Turn the derivation into {program} and run it {data}.",
    "Compare {metric} with what the derivation lets expect.",
    "Write down what remains open and what would refute the result.",
)
_CRITERIA = (
    "The derivation of {result} has no gap that a reader would have to fill.",
    "Two runs of {program} with one seed give the same {metric}.",
    "Each claim from the literature carries its source.",
    "The report says how far measured and derived values differ.",
    "{metric} is reported on inputs that were used for no choice.",
    "A student in the second year can follow the text.",
    "The tests of {program} fail when a sign is turned.",
    "What remains open is named in a section of its own.",
)
_LAST_TODOS = (
    "read every artifact, verify the citations and approve the answer.",
    "hold derivation and figures side by side before the answer leaves.",
    "confirm that each criterion is met and each source can be opened.",
    "check names, units and seeds once more, then release the report.",
)


def sample_lines(seed: int = SAMPLE_SEED) -> list[str]:
    """Return the lines of the sample: whole traces and broken ones in a random order, without line ends."""
    draw = Draw(f"router:{seed}")
    traces = _traces(draw, TRACES + len(FLAWS))
    for (reason, break_it), trace in zip(FLAWS, traces[TRACES:], strict=True):
        break_it(trace)
        trace["planted_flaw"] = reason
    return [json.dumps(trace, ensure_ascii=False) for trace in draw.shuffled(traces)]


def sample_bytes(seed: int = SAMPLE_SEED) -> bytes:
    """Return the sample as a JSON Lines file (UTF-8)."""
    return "".join(f"{line}\n" for line in sample_lines(seed)).encode()


def valid_traces(seed: int, count: int) -> list[dict[str, Any]]:
    """Return traces that keep every rule, for benchmarks and tests."""
    return _traces(Draw(f"router:{seed}"), count)


def _traces(draw: Draw, count: int) -> list[dict[str, Any]]:
    traces: list[dict[str, Any]] = []
    asked: set[str] = set()
    while len(traces) < count:
        trace = _trace(draw, len(traces))
        if trace["user_query"] not in asked:
            asked.add(trace["user_query"])
            traces.append(trace)
    return traces


def _trace(draw: Draw, number: int) -> dict[str, Any]:
    subject = draw.one(SUBJECTS)
    words = {**subject._asdict(), "data": draw.one(DATA)}
    summary = "Study {name}: derive {result}, evaluate {program}, estimate {metric}."
    tools = ROUTES[number % len(ROUTES)]
    tier = min(2, (len(tools) - 2) + draw.between(0, 1)) if draw.chance(0.9) else draw.between(0, 2)
    trace: dict[str, Any] = {
        "id": f"router_{number:04d}",
        "user_query": _query(draw, words),
        "task_summary": summary.format_map(words),
        "route_plan": [_step(draw, tool, tools[:place].count(tool), words) for place, tool in enumerate(tools)],
        "route_rationale": _rationale(tools, words),
        "expected_artifacts": _some(draw, _ARTIFACTS, draw.between(3, 5), words),
        "thinking_outline": _numbered(_THOUGHTS[: draw.between(4, 5)], words),
        "handoff_plan": _handoff(draw, tools, subject),
        "todo_list": _todos(draw, tools, tier, words),
        "difficulty": DIFFICULTIES[tier],
        "tags": [subject.tag, *draw.shuffled(["worked-example", "derivation", "simulation"])[:2]],
        "acceptance_criteria": _some(draw, _CRITERIA, draw.between(3, 4), words),
        "metrics": _metrics(draw, words),
        "compute_budget": {"gpu_minutes": 10 * tier, "cpu_minutes": draw.between(5, 60), "vram_gb": 8 * (tier > 0)},
        "repro": {"seed": draw.between(1, 9999), "deterministic": True, "framework": draw.one(["numpy", "pytorch"])},
        "requires_browse": "general-search" in tools,
        "citation_policy": "At least two sources, each with its link; none from memory.",
        "io_schema": {
            "artifacts": ["report.md", "run.py"],
            "logs": "log.txt",
            "outputs": {"artifacts": ["figures.json"], "logs": "log.txt"},
        },
    }
    trace["quality_score"] = trace_quality(trace, TraceRulesConfig())
    return {name: trace[name] for name in TRACE_FIELDS}


def _query(draw: Draw, words: dict[str, str]) -> str:
    opening, wish = draw.one(OPENINGS), draw.one(WISHES)
    demands = " ".join(draw.shuffled(DEMANDS)[: draw.between(1, 2)])
    text = f"{opening}. Please {wish}, then write {{program}} and try it {{data}}. {demands}"
    return text.format_map(words)


def _step(draw: Draw, tool: str, earlier: int, words: dict[str, str]) -> str:
    if tool == "general-search":
        query = draw.one(SEARCHES).format_map(words)
        return f'/general-search(query="{query}", mode={draw.one(["web", "rag", "both"])})'
    return f"/{tool}({_STEPS[tool][min(earlier, 1)].format_map(words)})"


def _rationale(tools: Sequence[str], words: dict[str, str]) -> str:
    reasons = [_REASONS[tool].format_map(words) for tool in dict.fromkeys(tools)]
    joined = "; ".join(reasons)
    return f"{joined[0].upper()}{joined[1:]}."


def _handoff(draw: Draw, tools: Sequence[str], subject: Subject) -> str:
    # Some plans hand over in another order than they route, as real ones do: that is noted, not rejected.
    passed = tools[::-1] if draw.chance(_DISORDERLY) else tools
    chain = " -> ".join(f"/{tool}" for tool in passed)
    return (
        f"{chain} -> router QA (verification: {subject.metric} agrees with {subject.result}; "
        f"fallback: return to /{tools[0]} when it does not)."
    )


def _some(draw: Draw, texts: Sequence[str], count: int, words: dict[str, str]) -> list[str]:
    """Return `count` of the texts, filled in, each with a capital."""
    filled = [text.format_map(words) for text in draw.shuffled(texts)[:count]]
    return [f"{text[0].upper()}{text[1:]}" for text in filled]


def _numbered(texts: Sequence[str], words: dict[str, str]) -> list[str]:
    return [f"{number}. {text.format_map(words)}" for number, text in enumerate(texts, start=1)]


def _todos(draw: Draw, tools: Sequence[str], tier: int, words: dict[str, str]) -> list[str]:
    """Return todos within the limits of the tier: each tool once, then verifying ones, the router's own last."""
    named = list(dict.fromkeys(tools))
    todos = [f"- [ ] /{tool}: {_TODOS[tool][0].format_map(words)}" for tool in named]
    further = [f"- [ ] /{tool}: {text.format_map(words)}" for tool in named for text in _TODOS[tool][1:]]
    wanted = (4, 5, 6)[tier] + draw.between(0, 2) - 1
    todos += draw.shuffled(further)[: max(2, wanted - len(todos))]
    return [*todos, f"- [ ] router QA: {draw.one(_LAST_TODOS)}"]


def _metrics(draw: Draw, words: dict[str, str]) -> dict[str, Any]:
    primary, secondary = FILLER if draw.chance(_FILLED) else _OWN_METRICS
    metrics: dict[str, Any] = {"primary": [primary.format_map(words)], "secondary": [secondary.format_map(words)]}
    if draw.chance(0.4):
        metrics["primary_guidance"] = "Prefer {metric} on held-out inputs; name the baseline.".format_map(words)
    if draw.chance(0.15):
        metrics["primary_computation"] = "Mean of {metric} over seeds, with the standard error.".format_map(words)
    return metrics
