"""The head of the page: the verdict in one sentence for a stranger, what must be known before reading on, the gates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from finetune_assets.evaluation.report.page.html import Html, joined, paragraph, section, table, tag
from finetune_assets.evaluation.report.reading import figure_of, gain_of, measure_of
from finetune_assets.evaluation.wording import p_text

SIGNS = {"PASS": "✔ PASS", "FAIL": "✘ FAIL", "INCONCLUSIVE": "? INCONCLUSIVE"}
TONES = {"PASS": "good", "FAIL": "bad", "INCONCLUSIVE": "open"}
_SHOWN = {
    "better": "it is shown to be better",
    "worse": "it is shown to be worse",
    "neither": "no difference is shown",
}
_NEXT = {
    "PASS": "it may be released",
    "FAIL": "it is not released, and what is live stays live",
    "INCONCLUSIVE": "it is not released by itself, and what is live stays live",
}
_NAMES_TOLD = 5
_GATES = {
    "PASS": "Passed means that the rule was met",
    "FAIL": "failed that it was broken",
    "INCONCLUSIVE": "inconclusive that these rows are too few to tell",
}


def baseline_words(report: Mapping[str, Any]) -> str:
    """Return what a stranger calls the baseline."""
    name = report["baseline"]["name"]
    return f"the model that is live now ({name})" if report["baseline"]["live"] else "the same model before tuning"


def verdict_sentence(report: Mapping[str, Any], what_now: str = "") -> str:
    """Return in one sentence what was compared, on how many rows of what, what was found and what happens now."""
    comparison, primary = report["comparison"], measure_of(report, report["primary"])
    ours, theirs = (figure_of(primary, comparison[side]) for side in ("candidate", "baseline"))
    kind, other = "made-up " if report["synthetic"] else "", baseline_words(report)
    then = what_now or _NEXT[report["verdict"]["verdict"]]
    link = "but" if comparison["shown"] == "better" and report["verdict"]["verdict"] != "PASS" else "and"
    if primary["kind"] == "share":
        found = (
            f"the newly tuned model had “{primary['title']}” in {ours} of them and {baseline_words(report)} in {theirs}"
        )
    else:
        less = "" if primary["higher_is_better"] else ", where less is better"
        found = f"the newly tuned model reached “{primary['title']}” of {ours} and {other} of {theirs}{less}"
    return (
        f"On {comparison['rows']:,} {kind}test questions that were kept out of training, {found}: "
        f"{_SHOWN[comparison['shown']]} {link} {_gates_sentence(report)}, so {then}."
    )


def _gates_sentence(report: Mapping[str, Any]) -> str:
    gates = [gate for gate in report["verdict"]["gates"] if not gate["advisory"]]
    failed = [gate["name"] for gate in gates if gate["verdict"] == "FAIL"]
    undecided = [gate["name"] for gate in gates if gate["verdict"] == "INCONCLUSIVE"]
    if failed:
        return f"it fails {len(failed)} of {len(gates)} gates ({_first(failed)})"
    if undecided:
        return f"{len(undecided)} of {len(gates)} gates cannot be decided on these rows ({_first(undecided)})"
    return f"it passes all {len(gates)} gates"


def _first(names: Sequence[str]) -> str:
    """Return the first names; the table of gates has them all, and a sentence of forty is read by nobody."""
    told = ", ".join(names[:_NAMES_TOLD])
    return told if len(names) <= _NAMES_TOLD else f"{told} and {len(names) - _NAMES_TOLD} more, below"


def head(report: Mapping[str, Any], about: str, what_now: str) -> Html:
    """Return title, verdict and what must be known before reading on."""
    verdict = report["verdict"]
    comparison, primary = report["comparison"], measure_of(report, report["primary"])
    more = verdict["more_rows_needed"]
    tested = (
        f"Gain over the baseline by {primary['title']}: {gain_of(primary, comparison)} at "
        f"{100 * comparison['confidence']:.0f} % confidence; {comparison['wins']:,} rows won, "
        f"{comparison['losses']:,} lost; {comparison['test']}, "
        f"{p_text(min(comparison['p_better'], comparison['p_worse']))}."
    )
    box = tag(
        "div",
        paragraph(tag("span", SIGNS[verdict["verdict"]], class_="sign")),
        paragraph(verdict_sentence(report, what_now)),
        tag("div", tested, class_="dim"),
        tag("div", f"About {more:,} more test rows would decide (an estimate).") if more is not None else None,
        class_=f"verdict {TONES[verdict['verdict']]}",
        role="status",
    )
    title = tag("h1", f"May the new model for “{report['task']}” be released?")
    return joined([title, paragraph(about, class_="dim") if about else None, box, *_must_know(report)])


def _must_know(report: Mapping[str, Any]) -> list[Html]:
    notes = []
    if report["synthetic"]:
        notes.append("The data is synthetic: it was made by a program, and real records will score differently.")
    notes += report["notes"]
    too_long = report["scores"]["candidate"]["problems"].get("prompt_too_long", 0)
    if too_long:
        notes.append(f"{too_long:,} test questions did not fit into the model, and count as wrong.")
    if report["context_length"] and (report["notes"] or too_long):
        notes.append(f"The model holds {report['context_length']:,} tokens, question and answer together.")
    boxes = [tag("p", note, class_="note") for note in notes]
    return [*boxes, *weak_notes(report), *trivial_notes(report)]


def weak_notes(report: Mapping[str, Any]) -> list[Html]:
    """Say on which slices the new model scores less than half of what it scores on all rows."""
    primary = measure_of(report, report["primary"])
    whole = report["comparison"]["candidate"]
    if not primary["higher_is_better"] or whole is None:
        return []
    weak = [part for part in report["slices"] if part["candidate"] is not None and part["candidate"] < whole / 2]
    if not weak:
        return []
    told = ", ".join(
        f"{part['name']} ({figure_of(primary, part['candidate'])} on {part['rows']:,} rows)" for part in weak
    )
    strong = tag("strong", f"The new model fails on a part of the questions: {told}.")
    return [paragraph(strong, " That is less than half of what it scores on all rows.", class_="note bad")]


def trivial_notes(report: Mapping[str, Any]) -> list[Html]:
    """Say where a method without a language model does as well: a table alone lets a reader look past it."""
    primary = measure_of(report, report["primary"])
    found = []
    for name, comparison in sorted(report["trivial"].items()):
        if not comparison["rows"] or comparison["difference"] > 0:
            continue
        doubtful = comparison["difference"] < 0 and comparison["shown"] != "worse"
        shown = ", though the difference is not shown on these rows" if doubtful else ""
        ours, theirs = (figure_of(primary, comparison[side]) for side in ("candidate", "baseline"))
        told = "does as well as" if comparison["difference"] == 0 else "does better than"
        found.append(
            paragraph(
                tag("strong", f"{trivial_name(name)} {told} the new model"),
                f" ({primary['title']} {theirs} against {ours}{shown}). On this test set the new model is no better "
                "tool than that.",
                class_="note bad",
            )
        )
    return found


def trivial_name(name: str) -> str:
    """Return what a person calls a trivial baseline."""
    return {
        "majority": "Always giving the commonest answer",
        "tfidf_logreg": "Counting words (TF-IDF and logistic regression)",
        "nearest": "Copying the answer of the most similar training question",
        "unchanged": "Leaving the transcript as it is",
    }.get(name, name)


def gates_section(report: Mapping[str, Any]) -> Html:
    """Return every gate with its verdict and reason, those that stand in the way first."""
    order = {"FAIL": 0, "INCONCLUSIVE": 1, "PASS": 2}
    gates = sorted(report["verdict"]["gates"], key=lambda gate: (gate["advisory"], order[gate["verdict"]]))
    rows = [
        (
            gate["name"],
            tag(
                "span",
                SIGNS[gate["verdict"]] + (" (advice)" if gate["advisory"] else ""),
                class_=f"sign {TONES[gate['verdict']]}",
            ),
            joined([gate["reason"], _more(gate)]),
        )
        for gate in gates
    ]
    told = (
        "; ".join(_GATES.values()) + ". Only a model that passes all of them may be released; advice decides nothing."
    )
    return section(
        "Gates: the rules it was held against",
        "gates",
        paragraph(told),
        table("Every gate with its verdict, what stands in the way first", ("gate", "verdict", "why"), rows),
    )


def _more(gate: Mapping[str, Any]) -> Html | None:
    by_slice = sorted(gate["more_by_slice"].items())
    if not by_slice:
        return None
    told = ", ".join(f"{name} about {more:,}" for name, more in by_slice)
    return tag("div", f"More rows that would decide, by slice: {told}.", class_="dim")
