"""Rows with their texts: the worst ones, and the answers that changed; words that differ are marked."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any

from finetune_assets.evaluation.report.page.html import (
    STACKED,
    Html,
    Node,
    breakable,
    joined,
    paragraph,
    section,
    table,
    tag,
)
from finetune_assets.evaluation.report.page.rows import PageRow
from finetune_assets.evaluation.report.reading import figure_of, measure_of
from finetune_assets.evaluation.wording import gain_text

MOST_CHANGES = 100
_AT_ONCE = 15
_LONGEST = 320
_MOST_WORDS = 150
_MOST_FIELDS = 12
_FATES = {
    "fixed": "▶ fixed",
    "broken": "◀ broken",
    "right": "right in both, other words",
    "wrong": "wrong in both",
}
_FINDINGS = {
    "label_wrong_likely": "the recorded answer is likely wrong",
    "model_wrong": "the model is wrong",
    "disputed": "disputed",
    "right_by_doubtful_label": "right by a doubtful label",
}


def worst_section(report: Mapping[str, Any], rows: Sequence[PageRow]) -> Html | None:
    """Return the worst rows with question, right answer and both models' answers."""
    worst = report["worst_rows"]
    if not worst:
        return None
    known = {row.example: row for row in rows}
    doubts = doubts_of(report)
    measure = measure_of(report, report["primary"])
    shown = [_worst_row(item, known.get(item["example"]), doubts) for item in worst]
    header = ["record", "question", "right answer", "new model", "baseline"]
    if measure["kind"] != "share":  # of a share, the marks say it
        header.append("score")
        shown = [[*row, _score(item, measure)] for row, item in zip(shown, worst, strict=True)]
    told = (
        f"The {len(worst)} rows that lost most against the baseline, then those that are simply wrong. Marked words "
        "differ from the right answer, ∅ stands where words are missing. "
        "E-mail addresses, dates and long numbers are masked, and long texts are cut."
    )
    if not rows:
        told = "The texts of these rows are not kept beside this report; the record ids are."
    return section(
        "Worst rows", "worst", paragraph(told), table("Worst rows", header, shown, class_=STACKED, sortable=True)
    )


def doubts_of(report: Mapping[str, Any]) -> dict[str, str]:
    """Return what further sections hold against the recorded answer of a row, by record id."""
    found: dict[str, str] = {}
    for name in sorted(report["sections"]):
        body = report["sections"][name]
        suspects = body.get("suspects", ()) if isinstance(body, Mapping) else ()
        for item in suspects if isinstance(suspects, list | tuple) else ():
            if isinstance(item, Mapping) and "record_id" in item:
                finding = str(item.get("finding", ""))
                found[str(item["record_id"])] = _FINDINGS.get(finding, finding) or "the reference is doubtful"
    return found


def _worst_row(item: Mapping[str, Any], row: PageRow | None, doubts: Mapping[str, str]) -> list[Node]:
    doubt = doubts.get(item["record"])
    name = joined([item["record"], tag("div", f"⚑ {doubt}", class_="sign open") if doubt else None])
    if row is None:
        state = "right" if item["baseline_right"] else "wrong"
        return [name, "–", "–", item["problem"].replace("_", " ") or "wrong answer", state]
    return [name, shortened(row.question), answer(row.right), *_answers(row)]


def _score(item: Mapping[str, Any], measure: Mapping[str, Any]) -> Html:
    loss = item["loss"]
    against = f"{gain_text(0.0 - loss, as_percent=measure['as_percent'])} to the baseline" if loss else None
    return joined([figure_of(measure, item["score"]), tag("div", against, class_="dim") if against else None])


def _answers(row: PageRow) -> list[Node]:
    found: list[Node] = []
    for text, right, problem in (
        (row.candidate, row.candidate_right, row.candidate_problem),
        (row.baseline, row.baseline_right, row.baseline_problem),
    ):
        state = "✔ right" if right else f"✘ {problem.replace('_', ' ') or 'wrong'}"
        told = tag("div", state, class_=f"sign {'good' if right else 'bad'}")
        found.append(joined([told, answer(text, None if right else row.right)]))
    return found


def changes_section(report: Mapping[str, Any], rows: Sequence[PageRow], file: str) -> Html:
    """Return the answers that differ between the two models, those that matter most first.

    Args:
        report: the report.
        rows: all test rows.
        file: name of the complete list beside the page, "" when there is none.
    """
    changes = report["changes"]
    told = (
        f"{changes['changed_answers']:,} of {report['rows']:,} answers differ from the baseline's: "
        f"{changes['fixed']:,} fixed (wrong before, right now) and {changes['broken']:,} broken (right before, wrong "
        "now)."
    )
    children: list[Node] = [paragraph(told)]
    changed = sorted((row for row in rows if row.changed), key=_weight)
    if changed:
        measure = measure_of(report, report["primary"])
        shown = changed[:MOST_CHANGES]
        where = [" The complete list is in ", tag("code", file), " beside this page."] if file else []
        children.append(paragraph(f"Shown are {len(shown):,} of {len(changed):,}, broken rows first.", *where))
        children.append(_changes_table(shown[:_AT_ONCE], measure, "Changed answers"))
        if rest := shown[_AT_ONCE:]:
            summary = tag("summary", f"{len(rest):,} further changed answers")
            children.append(tag("details", summary, _changes_table(rest, measure, "Further changed answers")))
    return section("Answers that changed", "changes", *children)


def _weight(row: PageRow) -> tuple[int, float, str, str]:
    order = {"broken": 0, "fixed": 1, "wrong": 2, "right": 3}
    return (order[row.fate], -abs(row.loss or 0.0), row.record, row.example)


def _changes_table(rows: Sequence[PageRow], measure: Mapping[str, Any], caption: str) -> Html:
    def line(row: PageRow) -> list[Node]:
        scores = f"{figure_of(measure, row.candidate_score)} against {figure_of(measure, row.baseline_score)}"
        fate = joined([_FATES[row.fate], None if measure["kind"] == "share" else tag("div", scores, class_="dim")])
        answers = [answer(text, row.right) for text in (row.candidate, row.baseline)]
        return [row.record, fate, shortened(row.question), answer(row.right), *answers]

    lines = [line(row) for row in rows]
    header = ("record", "what became of it", "question", "right answer", "new model", "baseline")
    return table(caption, header, lines, class_=STACKED, sortable=True)


def shortened(text: str) -> str:
    """Return the beginning of a text, with … where it was cut."""
    flat = text.strip()
    return flat if len(flat) <= _LONGEST else flat[: _LONGEST - 1].rstrip() + "…"


def answer(text: str, right: str | None = None) -> Html:
    """Return an answer as a person reads it: fields a line each, or words; what differs from the right one is marked.

    Args:
        text: the answer, "" for none.
        right: the right answer; None marks nothing.
    """
    if not text.strip():
        return tag("span", "(no answer)", class_="dim")
    fields = _fields(text)
    if fields is not None:
        wanted = None if right is None else _fields(right)
        return joined(
            tag(
                "div",
                tag("span", f"{name.replace('_', ' ')}: ", class_="dim"),
                _value(value, wanted is not None and wanted.get(name) != value),
            )
            for name, value in fields.items()
        )
    return joined([shortened(text)]) if right is None else _marked(shortened(text), shortened(right))


def _value(value: str, differs: bool) -> Html:
    return tag("mark", breakable(value)) if differs else breakable(value)


def _fields(text: str) -> dict[str, str] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or not value or len(value) > _MOST_FIELDS:
        return None
    if not all(isinstance(item, str | int | float | bool) or item is None for item in value.values()):
        return None
    return {str(name): shortened(str(item)) for name, item in value.items()}


def _marked(text: str, right: str) -> Html:
    words, wanted = text.split(), right.split()
    if len(words) > _MOST_WORDS or len(wanted) > _MOST_WORDS:
        return joined([text])
    parts: list[Node] = []
    # Without the heuristic for long texts, which would leave common words unmarked.
    for kind, start, end, first, last in SequenceMatcher(None, wanted, words, autojunk=False).get_opcodes():
        piece = " ".join(words[first:last])
        if kind == "equal":
            parts.append(piece)
        elif piece:
            parts.append(tag("mark", piece))
        elif end > start:
            parts.append(tag("mark", "∅", title="words are missing here"))
    return joined(parts, " ")
